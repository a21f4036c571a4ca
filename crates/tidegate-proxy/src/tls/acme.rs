//! Orders at ACME servers (RFC 8555) over HTTP-01: one at a time for a set of names, tried again
//! with growing pauses, renewed long before the end. An order never stands in the way of a
//! request, and a failed one leaves the certificate there is.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, ChallengeType, Identifier, NewAccount,
    NewOrder, OrderStatus, RetryPolicy,
};
use tokio::time::{Instant, timeout};

use super::vault::Vault;
use crate::table::wall_ms;
use crate::wire::Acme;

/// How long one order may take, the server's own looks at the challenges included.
const ORDER_WAIT: Duration = Duration::from_secs(300);
/// Pause after the first failure; it doubles with each further one. Public servers allow five
/// failures an hour for one name.
const PAUSE: Duration = Duration::from_secs(60);
/// Longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_secs(3_600);
/// Tokens answered at the same time: one for each name of the orders in progress.
const TOKENS: usize = 1_024;
/// Where a server asks for the proof that a name is ours, RFC 8555 section 8.3.
const WELL_KNOWN: &str = "/.well-known/acme-challenge/";

type Tokens = Arc<ArcSwap<HashMap<String, String>>>;
type Outcome = Arc<Mutex<Option<Result<(), String>>>>;

/// What a look at an order found.
#[derive(Debug)]
pub(super) enum Look {
    /// Nothing that changes anything.
    Nothing,
    /// A new certificate lies in the vault.
    Given,
    /// The order failed; another will be made.
    Failed(String),
}

#[derive(Debug)]
enum Attempt {
    Running { outcome: Outcome, failures: u32 },
    Paused { until: Instant, failures: u32 },
}

/// The orders of a proxy.
#[derive(Debug)]
pub(crate) struct Orders {
    vault: Arc<Vault>,
    tokens: Tokens,
    attempts: Mutex<BTreeMap<Acme, Attempt>>,
}

impl Orders {
    pub(super) fn new(vault: Arc<Vault>) -> Self {
        Self { vault, tokens: Tokens::default(), attempts: Mutex::default() }
    }

    fn attempts(&self) -> MutexGuard<'_, BTreeMap<Acme, Attempt>> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer to a challenge that an order of ours is waiting for.
    pub(crate) fn answer(&self, path: &str) -> Option<String> {
        let token = path.strip_prefix(WELL_KNOWN)?;
        self.tokens.load().get(token).cloned()
    }

    /// Begins an order where one is due, and tells what became of the last one. `life` is the
    /// time of the certificate there is, in milliseconds since 1970.
    pub(super) fn look(&self, acme: &Acme, life: Option<(u64, u64)>) -> Look {
        let mut attempts = self.attempts();
        let failures = match attempts.get(acme) {
            Some(Attempt::Running { outcome, failures }) => {
                let ended = outcome.lock().unwrap_or_else(PoisonError::into_inner).take();
                let failures = *failures;
                return match ended {
                    None => Look::Nothing,
                    Some(Ok(())) => {
                        attempts.remove(acme);
                        Look::Given
                    }
                    Some(Err(reason)) => {
                        let doubled = 2_u32.saturating_pow(failures);
                        let until = Instant::now() + PAUSE.saturating_mul(doubled).min(PAUSE_MAX);
                        let failures = failures.saturating_add(1);
                        attempts.insert(acme.clone(), Attempt::Paused { until, failures });
                        Look::Failed(reason)
                    }
                };
            }
            Some(Attempt::Paused { until, .. }) if Instant::now() < *until => return Look::Nothing,
            Some(Attempt::Paused { failures, .. }) => *failures,
            None => 0,
        };
        if is_due(life, wall_ms()) {
            let outcome = self.begin(acme.clone());
            attempts.insert(acme.clone(), Attempt::Running { outcome, failures });
        }
        Look::Nothing
    }

    fn begin(&self, acme: Acme) -> Outcome {
        let outcome = Outcome::default();
        let (ours, tokens, vault) =
            (Arc::clone(&outcome), Arc::clone(&self.tokens), Arc::clone(&self.vault));
        tokio::spawn(async move {
            let mut given = Vec::new();
            let ordered = timeout(ORDER_WAIT, order(&acme, &vault, &tokens, &mut given)).await;
            let ended = match ordered {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err("it did not answer in time".to_owned()),
            };
            tokens.rcu(|tokens| {
                let mut left = HashMap::clone(tokens);
                left.retain(|token, _| !given.contains(token));
                left
            });
            *ours.lock().unwrap_or_else(PoisonError::into_inner) = Some(ended);
        });
        outcome
    }
}

/// A certificate is renewed when a third of its life is left, the rule of the public servers.
fn is_due(life: Option<(u64, u64)>, now_ms: u64) -> bool {
    life.is_none_or(|(from, to)| now_ms >= to.saturating_sub(to.saturating_sub(from) / 3))
}

async fn order(
    acme: &Acme,
    vault: &Vault,
    tokens: &Tokens,
    given: &mut Vec<String>,
) -> Result<(), instant_acme::Error> {
    let account = account(acme, vault).await?;
    let names: Vec<Identifier> = acme.names.iter().cloned().map(Identifier::Dns).collect();
    let mut order = account.new_order(&NewOrder::new(&names)).await?;
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let mut challenge = authorization
            .challenge(ChallengeType::Http01)
            .ok_or(instant_acme::Error::Str("it offers no HTTP-01 challenge"))?;
        let (token, proof) =
            (challenge.token.clone(), challenge.key_authorization().as_str().to_owned());
        if tokens.load().len() >= TOKENS {
            return Err(instant_acme::Error::Str("too many challenges at once"));
        }
        given.push(token.clone());
        tokens.rcu(|tokens| {
            let mut more = HashMap::clone(tokens);
            more.insert(token.clone(), proof.clone());
            more
        });
        challenge.set_ready().await?;
    }
    let status = order.poll_ready(&RetryPolicy::default()).await?;
    if status != OrderStatus::Ready {
        return Err(instant_acme::Error::Str("it did not accept the proof for every name"));
    }
    let key = order.finalize().await?;
    let chain = order.poll_certificate(&RetryPolicy::default()).await?;
    let content = format!("{key}{chain}");
    let written = vault.write(&vault.certificate(acme), content.as_bytes());
    written.map_err(|error| instant_acme::Error::Other(Box::new(error)))
}

/// The account kept from before, or a new one.
async fn account(acme: &Acme, vault: &Vault) -> Result<Account, instant_acme::Error> {
    let builder = match &acme.trust {
        Some(root) => Account::builder_with_root(root)?,
        None => Account::builder()?,
    };
    let path = vault.account(acme);
    let kept = std::fs::read(&path).ok();
    let kept = kept.and_then(|kept| serde_json::from_slice::<AccountCredentials>(&kept).ok());
    if let Some(credentials) = kept {
        return builder.from_credentials(credentials).await;
    }
    let contact: Vec<&str> = acme.contact.iter().map(String::as_str).collect();
    let new = NewAccount {
        contact: &contact,
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let (account, credentials) = builder.create(&new, acme.directory.clone(), None).await?;
    let failed = |error: std::io::Error| instant_acme::Error::Other(Box::new(error));
    let content = serde_json::to_vec(&credentials).map_err(|error| failed(error.into()))?;
    vault.write(&path, &content).map_err(failed)?;
    Ok(account)
}

#[cfg(test)]
mod tests {
    use super::is_due;

    #[test]
    fn a_certificate_is_renewed_when_a_third_is_left() {
        assert!(is_due(None, 0));
        for (now, due) in [(0, false), (59, false), (60, true), (90, true), (200, true)] {
            assert_eq!(is_due(Some((0, 90)), now), due, "{now}");
        }
    }
}
