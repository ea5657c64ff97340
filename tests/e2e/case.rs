//! One case: its turn, the stack, and what has to be put back afterwards, also when the case fails.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use marque::clock::Clock;
use marque::flows::open_keyring::open_keyring;
use marque::keys::{Keyring, SealingKey};
use marque::postgres;
use marque_core::names::DETAIL_PLAN;
use marque_demo::Result;
use marque_demo::agent::{Agent, Submission};
use marque_demo::clients::{Answer, now};
use marque_demo::env::Env;
use serde_json::{Value, json};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::browser::{Browser, Seen};
use crate::keycloak::Admin;
use crate::people::Person;
use crate::proxy::{Fault, Proxy};

/// Marque remembers an agent's attributes for five seconds.
const PAIRED: Duration = Duration::from_secs(10);
/// How long a line may take to reach Keycloak's log.
const LOGGED: Duration = Duration::from_secs(5);

static TURN: Mutex<()> = Mutex::const_new(());
static PEOPLE: AtomicU32 = AtomicU32::new(0);

/// A ceremony to be: the stack, an agent, a browser, and Alice.
pub struct Case {
    /// What `env.json` says.
    pub env: Env,
    /// Alice's agent.
    pub agent: Agent,
    /// The demonstration's user.
    pub alice: Person,
    pub browser: Browser,
    pub admin: Admin,
    /// Marque's own database.
    pub db: PgPool,
    /// The stack's folder.
    pub dir: PathBuf,
    guests: Vec<Person>,
    marque_url: Option<String>,
    proxy: Option<Proxy>,
}

/// Runs one case when it is its turn.
pub async fn case(body: impl AsyncFnOnce(&mut Case) -> Result<()>) {
    let _turn = TURN.lock().await;
    let mut case = Case::begin().await.unwrap_or_else(|error| panic!("{error}"));
    let outcome = AssertUnwindSafe(body(&mut case)).catch_unwind().await;
    let ended = case.end().await;
    match outcome {
        Err(panic) => resume_unwind(panic),
        Ok(outcome) => outcome.and(ended).unwrap_or_else(|error| panic!("{error}")),
    }
}

#[expect(clippy::disallowed_methods, reason = "the one variable that names the stack")]
fn env_file() -> Result<PathBuf> {
    let file = std::env::var_os("MARQUE_STACK").map(PathBuf::from);
    file.ok_or_else(|| "MARQUE_STACK names no running stack's env.json: run make test".into())
}

/// The project.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The database that the running Marque is connected to.
async fn marque_database(dir: &Path) -> Result<String> {
    let server = postgres::status(&dir.join("postgres"))?.ok_or("the stack's Postgres does not run")?;
    let any = PgPool::connect(&server.default_url()).await?;
    let used = "select distinct datname from pg_stat_activity where datname like 'marque\\_%'
         and pid <> pg_backend_pid()";
    let names: Vec<String> = sqlx::query_scalar(used).fetch_all(&any).await?;
    any.close().await;
    match names.as_slice() {
        [name] => Ok(server.url(name)),
        _ => Err(format!("Marque should be connected to one database, not to {names:?}").into()),
    }
}

impl Case {
    async fn begin() -> Result<Self> {
        let file = env_file()?;
        let env = Env::read(&file)?;
        let dir = file.parent().ok_or("env.json has no folder")?.to_owned();
        let db = PgPoolOptions::new().max_connections(2).connect(&marque_database(&dir).await?).await?;
        // An agent may have few plans waiting: those of earlier cases are over.
        sqlx::query("update intents set pending_until = now() where state = 'pending'").execute(&db).await?;
        Ok(Self {
            agent: Agent::new(&env)?,
            alice: Person::alice(&env),
            browser: Browser::start(root(), &env.marque.issuer)?,
            admin: Admin::new(&env)?,
            db,
            dir,
            env,
            guests: Vec::new(),
            marque_url: None,
            proxy: None,
        })
    }

    async fn end(mut self) -> Result<()> {
        let restored = self.restore().await;
        self.db.close().await;
        self.browser.close().await.and(restored)
    }

    async fn restore(&mut self) -> Result<()> {
        if let Some(url) = self.marque_url.take() {
            self.admin.set_marque_url(&url).await?;
        }
        self.proxy = None;
        if !self.guests.is_empty() {
            self.admin.pair_agent(&self.alice.name).await?;
        }
        for guest in std::mem::take(&mut self.guests) {
            self.admin.delete_user(&guest.sub).await?;
            std::fs::remove_file(&guest.passkey)?;
        }
        Ok(())
    }

    /// A user of this case alone, with a fresh passkey, for whom the agent may submit plans.
    ///
    /// # Errors
    /// When Keycloak refuses.
    pub async fn guest(&mut self) -> Result<Person> {
        let name = format!("guest-{}-{}", now(), PEOPLE.fetch_add(1, Ordering::Relaxed));
        let sub = self.admin.create_user(&name, &self.env.user.password).await?;
        let folder = self.alice.passkey.parent().ok_or("the passkey has no folder")?;
        let guest = Person::other(&self.env, &name, &sub, folder);
        self.guests.push(guest.clone());
        self.admin.pair_agent(&format!("{} {name}", self.alice.name)).await?;
        guest.register(&self.env, root(), &guest.passkey).await?;
        Ok(guest)
    }

    /// A user of the realm who has no passkey.
    pub fn bob(&self) -> Person {
        Person::other(&self.env, "bob", "", &self.dir)
    }

    /// Submits Alice's plan of seven steps.
    ///
    /// # Errors
    /// When Marque does not admit it.
    pub async fn submit(&self) -> Result<Submission> {
        self.agent.submit().await
    }

    /// Submits that plan, or another, for somebody else.
    ///
    /// # Errors
    /// When Marque does not admit it.
    pub async fn submit_for(&self, person: &Person, mut plan: Value) -> Result<Submission> {
        plan["user"]["username"] = person.name.as_str().into();
        let deadline = Instant::now() + PAIRED;
        loop {
            let answer = self.hand_in(&plan).await?;
            if answer.text("error") != Some("access_denied") || Instant::now() > deadline {
                return Ok(serde_json::from_value(answer.success()?)?);
            }
            sleep(Duration::from_millis(500)).await;
        }
    }

    /// Hands in whatever plan.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn hand_in(&self, plan: &Value) -> Result<Answer> {
        let details = json!([{"type": DETAIL_PLAN, "plan": plan}]).to_string();
        self.agent.party.post("/plans", &[("authorization_details", &details)]).await
    }

    /// Opens an intent's approval in a tab of its own name.
    ///
    /// # Errors
    /// When the browser arrives nowhere.
    pub async fn open(&mut self, intent: &Submission, person: &Person) -> Result<Seen> {
        self.open_in("tab", "desk", intent, person).await
    }

    /// Opens an intent's approval in a tab of a browser.
    ///
    /// # Errors
    /// When the browser arrives nowhere.
    pub async fn open_in(&mut self, tab: &str, browser: &str, intent: &Submission, person: &Person) -> Result<Seen> {
        let open = json!({"tab": tab, "browser": browser, "intent": intent.intent_id, "person": person.sign_in()});
        self.browser.see("open", open).await
    }

    /// The one gesture on the page of `open`.
    ///
    /// # Errors
    /// When the browser arrives nowhere.
    pub async fn press(&mut self, person: &Person) -> Result<Seen> {
        self.press_in("tab", person).await
    }

    /// The one gesture on the page of a tab.
    ///
    /// # Errors
    /// When the browser arrives nowhere.
    pub async fn press_in(&mut self, tab: &str, person: &Person) -> Result<Seen> {
        self.browser.see("press", json!({"tab": tab, "passkey": person.passkey})).await
    }

    /// Opens and approves.
    ///
    /// # Errors
    /// When the browser arrives nowhere.
    pub async fn approve(&mut self, intent: &Submission, person: &Person) -> Result<()> {
        self.open(intent, person).await?.expect_page();
        self.press(person).await?.expect_receipt("approved");
        self.expect_state(intent, "approved").await
    }

    /// The state in an intent's row and the number of its approvals.
    async fn standing(&self, intent: &Submission) -> Result<(String, i64)> {
        let id: Uuid = intent.intent_id.parse()?;
        let state = sqlx::query_scalar("select state from intents where intent_id = $1").bind(id);
        let approvals =
            sqlx::query_scalar("select count(*) from approvals where intent_id = $1 and step_up_id is null").bind(id);
        Ok((state.fetch_one(&self.db).await?, approvals.fetch_one(&self.db).await?))
    }

    /// Asserts the state of an intent's row, and that there is evidence exactly if it was approved.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn expect_state(&self, intent: &Submission, state: &str) -> Result<()> {
        let was_approved = i64::from(["approved", "active", "revoked"].contains(&state));
        assert_eq!(self.standing(intent).await?, (state.to_owned(), was_approved));
        Ok(())
    }

    /// Asserts that nobody decided, and that the agent is told so.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn expect_undecided(&self, intent: &Submission) -> Result<()> {
        self.expect_state(intent, "pending").await?;
        self.expect_told(intent, "authorization_pending", None).await.map(drop)
    }

    /// Asserts what the polling agent is told; answers the sentence.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn expect_told(&self, intent: &Submission, error: &str, reason: Option<&str>) -> Result<String> {
        let answer = self.agent.poll(&intent.intent_id).await?;
        assert_eq!(
            (answer.status, answer.text("error"), answer.text("reason")),
            (400, Some(error), reason),
            "{answer:?}"
        );
        Ok(answer.text("error_description").unwrap_or_default().to_owned())
    }

    /// Asserts that the polling agent gets its intent token.
    ///
    /// # Errors
    /// When it does not.
    pub async fn expect_granted(&self, intent: &Submission) -> Result<()> {
        let body = self.agent.poll(&intent.intent_id).await?.success()?;
        assert!(body["access_token"].is_string(), "{body}");
        self.expect_state(intent, "active").await
    }

    /// Lets the time to decide on an intent be over.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn let_expire(&self, intent: &Submission) -> Result<()> {
        let id: Uuid = intent.intent_id.parse()?;
        let late = sqlx::query("update intents set pending_until = now() - interval '1 second' where intent_id = $1");
        late.bind(id).execute(&self.db).await?;
        Ok(())
    }

    /// Lets the time to answer the displayed pages of an intent be over.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn let_page_expire(&self, intent: &Submission) -> Result<()> {
        let id: Uuid = intent.intent_id.parse()?;
        let late = sqlx::query("update displays set expires_at = now() - interval '1 second' where intent_id = $1");
        assert_eq!(late.bind(id).execute(&self.db).await?.rows_affected(), 1, "one display, one nonce");
        Ok(())
    }

    /// Lets Keycloak fetch plans elsewhere until the case ends.
    ///
    /// # Errors
    /// When Keycloak refuses.
    pub async fn fetch_plans_at(&mut self, url: &str) -> Result<()> {
        let before = self.admin.set_marque_url(url).await?;
        self.marque_url.get_or_insert(before);
        Ok(())
    }

    /// Puts a fault between Keycloak and Marque until the case ends.
    ///
    /// # Errors
    /// When Keycloak refuses.
    pub async fn inject(&mut self, fault: Fault) -> Result<()> {
        let proxy = Proxy::start(&self.env.marque.issuer, self.keyring().await?, fault).await?;
        let url = proxy.url.clone();
        self.proxy = Some(proxy);
        self.fetch_plans_at(&url).await
    }

    /// Marque's own signing keys.
    async fn keyring(&self) -> Result<Arc<Keyring>> {
        let sealing = SealingKey::from_file(&self.dir.join("marque-development.key"))?;
        Ok(Arc::new(
            open_keyring(&self.db.clone().into(), &Clock::default(), &self.env.keycloak.realm, &sealing).await?,
        ))
    }

    /// Where Marque's own database is.
    ///
    /// # Errors
    /// When Postgres does not answer.
    pub async fn database_url(&self) -> Result<String> {
        marque_database(&self.dir).await
    }

    /// How long Keycloak's log is.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn logged(&self) -> Result<usize> {
        Ok(std::fs::read(self.dir.join("logs/keycloak.log"))?.len())
    }

    /// Asserts that Keycloak logs a text after a place in its log.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn expect_logged(&self, after: usize, text: &str) -> Result<()> {
        let deadline = Instant::now() + LOGGED;
        loop {
            let log = std::fs::read(self.dir.join("logs/keycloak.log"))?;
            let fresh = String::from_utf8_lossy(log.get(after..).unwrap_or_default()).into_owned();
            if fresh.contains(text) {
                return Ok(());
            }
            assert!(Instant::now() < deadline, "{text:?} is not in: {fresh}");
            sleep(Duration::from_millis(100)).await;
        }
    }
}
