//! Report formats against reports as their tools wrote them, and against everything else.
//! A report named `*.modelled.*` is written after the format's documentation: no tool could make
//! it here. Must never read anything but the reports beside it.

#[cfg(test)]
mod collection;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod mutated;
#[cfg(test)]
mod reports;
#[cfg(test)]
mod weight;
