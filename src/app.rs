//! The running server: configuration, store, keys, realms, clock and feed, wired once.

use crate::certificates::Authorities;
use crate::clock::Clock;
use crate::config::{Config, RealmConfig, Tls};
use crate::flows::grant_intent::Looks;
use crate::flows::introspect_token::LiveTokens;
use crate::flows::keep_tokens::Custody;
use crate::flows::reserve_together::Reservations;
use crate::flows::single_use_ids::SingleUseIds;
use crate::flows::status_list::Places;
use crate::flows::uncounted_permits::UncountedPermits;
use crate::flows::verified_tokens::VerifiedTokens;
use crate::keycloak::{Directory, Keycloak, KeycloakError, RealmKeys};
use crate::keys::{Keyring, Nonces, RecordSeal, SealingKey};
use crate::marks::Marks;
use crate::store::Database;
use crate::{flows, http, random};
use marque_core::claims::TxnClaims;
use marque_core::names;
use secrecy::ExposeSecret;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::broadcast;

/// Messages of the revocation feed that a slow reader may be behind; it is then cut off and starts anew.
const FEED_BACKLOG: usize = 1024;

/// Everything a flow may need.
pub struct App {
    /// The realms by name.
    pub realms: BTreeMap<String, Arc<Realm>>,
    /// The database.
    pub db: Database,
    /// Days that custody of tokens is kept at least.
    pub custody_days: u16,
    /// The time.
    pub clock: Clock,
    /// What the signing keys are sealed with.
    pub sealing: SealingKey,
    /// What the ledger's records are sealed with.
    pub records: RecordSeal,
    /// What this server saw of its database.
    pub marks: Arc<Marks>,
    /// Where clients come with certificates.
    pub tls: Tls,
    /// Who vouches for their certificates.
    pub authorities: Option<Authorities>,
    /// The nonces that DPoP proofs repeat.
    pub nonces: Arc<Nonces>,
    /// Where calls that nothing counts share transactions.
    pub uncounted_permits: UncountedPermits,
    /// Where counted calls share transactions.
    pub reservations: Reservations,
    /// Where ids that are used once share statements.
    pub single_use_ids: SingleUseIds,
    /// Where tokens that are signed share transactions.
    pub custody: Custody,
    /// Where polls share one look at their intents.
    pub looks: Looks,
    /// Where redemptions of approvals share transactions.
    pub redemptions: Custody,
    /// Where tokens share the statement that gives them their places in status lists.
    pub status_places: Places,
    /// Where questions about tokens share one to the database.
    pub live_tokens: LiveTokens,
}

/// One Marque issuer for one Keycloak realm. Nothing crosses from one realm to another.
pub struct Realm {
    /// Its configuration.
    pub config: Arc<RealmConfig>,
    /// Its signing keys, as they are now.
    pub keyring: Arc<Keyring>,
    /// Its Keycloak realm.
    pub keycloak: Keycloak,
    /// That realm's public keys.
    pub realm_keys: RealmKeys,
    /// That realm's users and clients.
    pub directory: Directory,
    /// Approved plans whose evidence was verified.
    pub verified: flows::approved_plans::Verified,
    /// Transaction tokens that were verified.
    pub txn_tokens: VerifiedTokens<TxnClaims>,
    /// The realm's access tokens that were verified.
    pub access_tokens: VerifiedTokens<Map<String, Value>>,
    /// Marque's own tokens that were verified, as they are exchanged and asked about.
    pub own_tokens: flows::own_tokens::OwnTokens,
    /// Status lists that were computed a moment ago.
    pub status_lists: flows::status_list::RememberedLists,
    /// Access tokens of Marque's own that were verified, as far as they are alike transaction tokens.
    pub own_access_tokens: VerifiedTokens<TxnClaims>,
    /// Which ledger counts at which location.
    pub location_ledgers: flows::location_ledger::Known,
    /// Where calls wait that count uses of the same plan.
    pub queues: flows::ledger::Queues,
    /// Messages of the revocation feed, signed, as they arise.
    pub feed: broadcast::Sender<flows::follow_revocations::Message>,
}

impl Realm {
    /// A realm with its keys, which has heard of nothing yet.
    fn new(config: &RealmConfig, keyring: Keyring, clock: &Clock) -> Result<Self, KeycloakError> {
        let (config, keyring) = (Arc::new(config.clone()), Arc::new(keyring));
        Ok(Self {
            keycloak: Keycloak::new(config.clone(), keyring.clone(), clock.clone())?,
            config,
            keyring,
            realm_keys: RealmKeys::default(),
            directory: Directory::default(),
            verified: flows::approved_plans::Verified::default(),
            txn_tokens: VerifiedTokens::of(names::TYP_TXN),
            access_tokens: VerifiedTokens::of(names::TYP_JWT),
            own_tokens: flows::own_tokens::OwnTokens::default(),
            status_lists: flows::status_list::RememberedLists::default(),
            own_access_tokens: VerifiedTokens::of(names::TYP_ACCESS),
            location_ledgers: flows::location_ledger::Known::default(),
            queues: flows::ledger::Queues::default(),
            feed: broadcast::channel(FEED_BACKLOG).0,
        })
    }
}

/// Why the server does not run. Printed once, at start.
pub type StartError = Box<dyn std::error::Error + Send + Sync>;

impl App {
    /// Connects, migrates, opens the keys. Keycloak is not asked: it may still be starting.
    ///
    /// # Errors
    /// When the database is not there, a migration fails or a key does not open.
    pub async fn start(config: &Config) -> Result<Arc<Self>, StartError> {
        let direct = config.database_direct_url.as_ref().map(ExposeSecret::expose_secret);
        let db = Database::connect(config.database_url.expose_secret(), direct).await?;
        db.migrate().await?;
        let clock = Clock::default();
        let sealing = sealing_key(config)?;
        let mut realms = BTreeMap::new();
        for realm in &config.realms {
            let keyring = flows::open_keyring::open_keyring(&db, &clock, &realm.name, &sealing).await?;
            realms.insert(realm.name.clone(), Arc::new(Realm::new(realm, keyring, &clock)?));
        }
        let (records, nonces) = (sealing.records(), sealing.nonces());
        let uncounted_permits = flows::uncounted_permits::start(db.clone(), clock.clone());
        let reservations = flows::reserve_together::start(db.clone(), clock.clone(), records.clone());
        let (single_use_ids, custody) =
            (flows::single_use_ids::start(db.clone()), flows::keep_tokens::start(db.clone()));
        let looks = flows::grant_intent::start(db.clone());
        let redemptions = flows::redeem_together::start(db.clone());
        let status_places = flows::status_list::start(db.clone());
        let live_tokens = flows::introspect_token::start(db.clone(), clock.clone());
        let marks = Arc::new(marks(config)?);
        let tls = config.tls.clone();
        let authorities = tls.client_ca.as_deref().map(Authorities::from_file).transpose()?;
        let app = Arc::new(Self {
            realms,
            db,
            custody_days: config.custody_days,
            clock,
            sealing,
            records,
            marks,
            tls,
            authorities,
            nonces,
            uncounted_permits,
            reservations,
            single_use_ids,
            custody,
            looks,
            redemptions,
            status_places,
            live_tokens,
        });
        flows::forget_expired::open_custody(&app, app.clock.now()).await?;
        Ok(app)
    }
}

fn sealing_key(config: &Config) -> Result<SealingKey, StartError> {
    match (&config.sealing_key, &config.key_file) {
        (Some(key), _) => Ok(SealingKey::from_base64(key.expose_secret())?),
        (None, Some(file)) => {
            tracing::warn!(file = %file.display(), "signing keys are sealed with a development key file; set MARQUE_KEY");
            Ok(SealingKey::from_file(file)?)
        }
        (None, None) => Err("no key to seal signing keys with: set MARQUE_KEY or key_file".into()),
    }
}

fn marks(config: &Config) -> Result<Marks, StartError> {
    let file = config.mark_file.as_deref();
    Marks::open(file, random::opaque_id()).map_err(|error| format!("mark_file {file:?}: {error}").into())
}

/// Runs the server until it is told to stop (SIGINT, SIGTERM).
///
/// # Errors
/// When it cannot start, or a listener fails.
pub async fn serve(config_file: &Path) -> Result<(), StartError> {
    let config = Config::load(config_file)?;
    let app = App::start(&config).await?;
    if config.mark_file.is_none() {
        tracing::warn!("no mark_file: a restore of the database is not noticed across a restart of this server");
    }
    let _mark = app.marks.hold().map_err(|error| format!("mark_file {:?}: {error}", config.mark_file))?;
    flows::keep_mark::compare_all(&app, &mut *app.db.session().await?).await?;
    let (listen, management) = (TcpListener::bind(config.listen).await?, TcpListener::bind(config.management).await?);
    let (stop, stopped) = tokio::sync::watch::channel(false);
    tokio::spawn(async move {
        http::stop_signal().await;
        let _ = stop.send(true);
    });
    let follower = tokio::spawn(flows::follow_revocations::follow(app.clone(), stopped.clone()));
    let housekeeper = tokio::spawn(flows::forget_expired::keep_forgetting(app.clone(), stopped.clone()));
    tracing::info!(listen = %config.listen, management = %config.management, tls = ?config.tls.listen, "marque serves");
    let public = http::router::public(app.clone());
    tokio::try_join!(
        http::serve_tls(&config.tls, public.clone(), stopped.clone()),
        http::serve(listen, public, stopped.clone()),
        http::serve(management, http::router::management(app), stopped),
    )?;
    follower.await?;
    housekeeper.await?;
    Ok(())
}
