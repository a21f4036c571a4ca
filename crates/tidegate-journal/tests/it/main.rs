//! The journal on real files: the suite of the port, crashes, damage, and what is refused.

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod groups;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod scale;
mod trail;
