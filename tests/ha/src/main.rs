//! Kills database leaders under load, and looks at what is left. `make ha-test` runs it; see docs/operations/scaling.md.
//!
//! Three Postgres servers under Patroni with synchronous replication, one etcd, two PgBouncers that follow the leader, two
//! Marque servers, one of which shares its sessions (transaction mode); a stand-in for the realm, and a passkey in memory. All of it on loopback, in one folder.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "outside parties have clocks and ids of their own"
)]

mod agent;
mod cluster;
mod load;
mod marque;
#[path = "../../../benches/server/src/person.rs"]
mod person;
mod process;
#[path = "../../../benches/server/src/realm.rs"]
mod realm;

use agent::Agent;
use bench_keys::Failure;
use cluster::{Cluster, PATIENCE};
use load::{Answered, Load, Work};
use marque::{Marque, Way};
use person::{ORIGIN, Person, Receipt};
use process::Account;
use realm::Realm;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Intents that are exchanged, that are redeemed under load, whose single use is fought for, that are revoked.
const INTENTS: [usize; 4] = [20, 60, 60, 20];
/// Seconds of load before the leader is killed, and after the next one leads.
const LOAD: Duration = Duration::from_secs(6);

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let dir = std::env::args().nth(1).ok_or("usage: ha-test FOLDER (which must not be there)")?;
    let dir = Path::new(&dir);
    std::fs::create_dir(dir)?;
    let account = Account::choose()?;
    account.make_folder(dir)?;
    let began = Instant::now();
    let mut cluster = Cluster::start(dir, account).await?;
    println!("three nodes, one synchronous standby: after {} s", began.elapsed().as_secs());
    let realm = Realm::start().await?;
    let person = Person::new(&realm)?;
    let ways =
        [Way { url: cluster.url(), direct: None }, Way { url: cluster.sharing_url(), direct: Some(cluster.url()) }];
    let servers = Arc::new(Marque::start_two(dir, ways, &realm, ORIGIN).await?);
    let agent = Arc::new(Agent::new(&realm, &servers[0].issuer)?);
    agent.publish(&servers[0]).await?;
    let world = World { agent, person, servers };
    world.refuse_what_is_no_way_to_the_leader(&cluster).await?;
    let kept = world.survive_a_lossless_failover(&mut cluster).await?;
    world.notice_a_failover_that_lost_commits(&mut cluster, &kept).await?;
    println!("all of it holds; {} s", began.elapsed().as_secs());
    Ok(())
}

struct World {
    agent: Arc<Agent>,
    person: Person,
    servers: Arc<[Marque; 2]>,
}

fn ensure(is_so: bool, what: impl Into<String>) -> Result<(), Failure> {
    if is_so { Ok(()) } else { Err(what.into().into()) }
}

impl World {
    async fn approved(&self) -> Result<(String, Receipt), Failure> {
        let intent = self.agent.submit(&self.servers[0]).await?;
        let receipt = self.person.approve(&self.servers[0], &intent).await?;
        Ok((intent, receipt))
    }

    /// An intent with its intent token.
    async fn redeemed(&self) -> Result<(String, String, Receipt), Failure> {
        let (intent, receipt) = self.approved().await?;
        let answer = self.agent.redeem(&self.servers[1], &intent).await?;
        let token = answer.text("access_token").ok_or_else(|| answer.body.to_string())?;
        Ok((intent, token.to_owned(), receipt))
    }

    async fn revoke(&self, receipt: &Receipt) -> Result<bool, Failure> {
        Ok(self.person.revocation(receipt).await?.send().await?.status().as_u16() == 303)
    }

    async fn exchanged(&self, token: &str) -> Result<String, Failure> {
        let answer = self.agent.exchange(&self.servers[0], token).await?;
        Ok(answer.text("access_token").ok_or_else(|| answer.body.to_string())?.to_owned())
    }

    /// Asks both servers for an exchange until each answers so.
    async fn until(&self, what: &str, token: &str, is_so: impl Fn(&agent::Answer) -> bool) -> Result<(), Failure> {
        for server in &*self.servers {
            let deadline = Instant::now() + PATIENCE;
            loop {
                let answer = self.agent.exchange(server, token).await?;
                if is_so(&answer) {
                    break;
                }
                let said = format!("{what}: {} {}", answer.status, answer.body);
                ensure(Instant::now() < deadline, said)?;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        Ok(())
    }

    /// A pooler that shares sessions, where nobody says how to get one; a standby; a pooler in the place of the database.
    async fn refuse_what_is_no_way_to_the_leader(&self, cluster: &Cluster) -> Result<(), Failure> {
        let standby = cluster.others(cluster.leader().await?).first().copied().ok_or("no standby")?;
        let (sessions, shared, standby) = (cluster.url(), cluster.sharing_url(), cluster.url_of(standby)?);
        let refused = [
            (&shared, None, "set DATABASE_DIRECT_URL"),
            (&shared, Some(&shared), "DATABASE_DIRECT_URL must lead to the database itself"),
            (&standby, None, "standby"),
            (&standby, Some(&sessions), "read-write mode during recovery"),
        ];
        for (url, direct, expected) in refused {
            let way = Way { url: url.clone(), direct: direct.cloned() };
            let said = self.servers[0].command_at(&way, &["keys", "list"]);
            let said = said.err().ok_or("it is taken for the leader")?.to_string();
            ensure(said.contains(expected), said)?;
        }
        Ok(())
    }

    async fn survive_a_lossless_failover(&self, cluster: &mut Cluster) -> Result<Vec<String>, Failure> {
        let [exchanged, approved, single, revoked] = INTENTS;
        let mut work = Work { redeemed: Vec::new(), approved: Vec::new(), single: Vec::new() };
        for _ in 0..exchanged {
            let (intent, token, _) = self.redeemed().await?;
            work.redeemed.push((intent, token));
        }
        for _ in 0..approved {
            work.approved.push(self.approved().await?.0);
        }
        for _ in 0..single {
            let (intent, token, _) = self.redeemed().await?;
            work.single.push((intent, self.exchanged(&token).await?));
        }
        let mut to_revoke = Vec::new();
        for _ in 0..revoked {
            let (_, token, receipt) = self.redeemed().await?;
            to_revoke.push((token, receipt));
        }
        let kept: Vec<String> = work.redeemed.iter().map(|(_, token)| token.clone()).collect();
        let epoch = cluster.ask("select epoch from feeds").await?;
        let load = Load::start(self.agent.clone(), self.servers.clone(), work);
        let revoked = self.revoke_while_a_leader_dies(cluster, &load, to_revoke).await?;
        self.until("an exchange after the failover", kept.first().ok_or("none")?, |answer| answer.status == 200)
            .await?;
        tokio::time::sleep(LOAD).await;
        let answered = load.stop().await?;
        report(&answered, &revoked);
        check_rows(cluster, &answered).await?;
        for token in &revoked {
            self.until("a revoked intent", token, |answer| answer.is_because("intent_revoked")).await?;
        }
        let same = cluster.ask("select epoch from feeds").await? == epoch;
        ensure(same, "a failover that lost nothing began a new epoch")?;
        ensure(cluster.ask("select count(*) from ended_epochs").await?.trim() == "0", "an epoch ended")?;
        Ok(kept)
    }

    /// Revokes one by one, and kills the leader in between; answers the tokens of those whose revocation was answered.
    async fn revoke_while_a_leader_dies(
        &self,
        cluster: &mut Cluster,
        load: &Load,
        to_revoke: Vec<(String, Receipt)>,
    ) -> Result<Vec<String>, Failure> {
        let half = to_revoke.len() / 2;
        let mut revoked = Vec::new();
        let leader = cluster.leader().await?;
        for (index, (token, receipt)) in to_revoke.into_iter().enumerate() {
            if index == half {
                println!("{} tokens answered; the leader is killed", load.tokens());
                cluster.kill_node(leader)?;
                let killed = Instant::now();
                cluster.until_led_by_another(leader).await?;
                println!("another node leads after {} s", killed.elapsed().as_secs());
            }
            // One that fails, because nobody leads, is not answered and proves nothing.
            if self.revoke(&receipt).await.unwrap_or(false) {
                revoked.push(token);
            }
            tokio::time::sleep(LOAD / 20).await;
        }
        cluster.start_node(leader)?;
        ensure(revoked.len() >= half, "revocations fail")?;
        Ok(revoked)
    }

    async fn notice_a_failover_that_lost_commits(&self, cluster: &mut Cluster, kept: &[String]) -> Result<(), Failure> {
        cluster.until_synchronous().await?;
        let [unaffected, ..] = kept else { return Err("nothing is kept".into()) };
        let (intent, token, receipt) = self.redeemed().await?;
        let epoch = cluster.ask("select epoch from feeds").await?;
        cluster.set(&json!({"synchronous_mode": false, "synchronous_mode_strict": false})).await?;
        let deadline = Instant::now() + PATIENCE;
        while !cluster.ask("show synchronous_standby_names").await?.trim().is_empty() {
            ensure(Instant::now() < deadline, "replication stays synchronous")?;
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        let leader = cluster.leader().await?;
        let standbys = cluster.others(leader);
        standbys.iter().for_each(|standby| cluster.stop_node(*standby));
        ensure(self.revoke(&receipt).await?, "the revocation is not answered")?;
        self.until("revoked before", &token, |answer| answer.is_because("intent_revoked")).await?;
        tokio::time::sleep(Duration::from_secs(3)).await;
        println!("a revocation is answered that no standby has; the leader is killed");
        cluster.kill_node(leader)?;
        for standby in standbys {
            cluster.start_node(standby)?;
        }
        cluster.until_led_by_another(leader).await?;
        for token in [&token, unaffected] {
            self.until("suspended", token, |answer| answer.is_because("intent_suspended")).await?;
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
        ensure(cluster.ask("select epoch from feeds").await? != epoch, "no new epoch")?;
        let ended = cluster.ask("select count(*) from ended_epochs").await?;
        ensure(ended.trim() == "1", format!("one epoch ends for both servers, not {ended}"))?;
        let server = &self.servers[1];
        print!("{}", server.command(&["restore", "show"])?.lines().next().unwrap_or_default());
        println!();
        server.command(&["restore", "revoke", &intent])?;
        server.command(&["restore", "confirm", "--now"])?;
        self.until("confirmed", unaffected, |answer| answer.status == 200).await?;
        self.until("revoked again", &token, |answer| answer.is_because("intent_revoked")).await
    }
}

fn report(answered: &Answered, revoked: &[String]) {
    println!(
        "answered: {} tokens, {} permits, {} revocations; other answers {:?}; longest time without a token {:.1} s",
        answered.tokens.len(),
        answered.permits.len(),
        revoked.len(),
        answered.others,
        answered.gap.as_secs_f64()
    );
}

/// Nothing that was answered is missing, and nothing is there twice.
async fn check_rows(cluster: &Cluster, answered: &Answered) -> Result<(), Failure> {
    let rows = cluster.ask("select encode(token_sha256, 'hex') from tokens").await?;
    let rows: BTreeSet<&str> = rows.lines().collect();
    let missing = answered.tokens.iter().filter(|token| !rows.contains(token.as_str())).count();
    ensure(missing == 0, format!("{missing} answered tokens have no row"))?;
    let permits = cluster.ask("select permit_id from permits").await?;
    let permits: BTreeSet<&str> = permits.lines().collect();
    ensure(answered.permits.iter().all(|(_, permit)| permits.contains(permit.as_str())), "a permit has no row")?;
    let mut uses = BTreeMap::<_, BTreeSet<_>>::new();
    for (intent, permit) in &answered.permits {
        uses.entry(intent).or_default().insert(permit);
    }
    ensure(uses.values().all(|permits| permits.len() == 1), "a single use was permitted twice")?;
    let doubled = "select count(*) from (select from permits where state <> 'released' group by intent_id, step_id
                   having count(*) > 1) as doubled";
    ensure(cluster.ask(doubled).await?.trim() == "0", "a single use was counted twice")?;
    let orphans = "select count(*) from tokens t where parent_sha256 is not null and not exists
                   (select from tokens p where p.intent_id = t.intent_id and p.token_sha256 = t.parent_sha256)";
    ensure(cluster.ask(orphans).await?.trim() == "0", "a chain has a gap")
}
