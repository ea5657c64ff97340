//! Three Postgres servers under Patroni, one etcd, and a PgBouncer that follows the leader. All on loopback, all of one run's
//! folder, all ended with it. There is one etcd: it is not what is tested here.

use crate::process::{Account, Process, free_ports, run};
use bench_keys::Failure;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long anything healthy may take.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// Seconds that a leader's lease lasts: how long a failover takes at least.
const TTL_SECS: u64 = 20;

/// Sessions that the pooler in transaction mode has for a server of Marque's, which holds sixteen connections to it.
const SHARED_SESSIONS: u32 = 6;

/// One of the three.
pub struct Node {
    name: String,
    port: u16,
    rest: u16,
    dir: PathBuf,
    patroni: Option<Process>,
}

/// The cluster.
pub struct Cluster {
    dir: PathBuf,
    account: Account,
    password: String,
    nodes: Vec<Node>,
    etcd_port: u16,
    bouncer_port: u16,
    sharing_port: u16,
    binaries: PathBuf,
    // Ended in this order, after the nodes.
    _bouncers: [Process; 2],
    _etcd: Process,
}

impl Cluster {
    /// Starts everything, with synchronous replication, and a database for Marque.
    pub async fn start(dir: &Path, account: Account) -> Result<Self, Failure> {
        let password = uuid::Uuid::new_v4().simple().to_string();
        let ports = free_ports(10)?;
        let [etcd_port, etcd_peer, bouncer_port, sharing_port, ports @ ..] = ports.as_slice() else {
            return Err("no ports".into());
        };
        let etcd = etcd(dir, &account, *etcd_port, *etcd_peer)?;
        let nodes = ports.chunks_exact(2).zip(["one", "two", "three"]).map(|(ports, name)| Node {
            name: name.into(),
            port: ports.first().copied().unwrap_or_default(),
            rest: ports.last().copied().unwrap_or_default(),
            dir: dir.join(name),
            patroni: None,
        });
        let bouncers = [
            bouncer(dir, &account, "session", *bouncer_port, &password)?,
            bouncer(dir, &account, "transaction", *sharing_port, &password)?,
        ];
        let mut cluster = Self {
            dir: dir.into(),
            account,
            password,
            nodes: nodes.collect(),
            etcd_port: *etcd_port,
            bouncer_port: *bouncer_port,
            sharing_port: *sharing_port,
            binaries: binaries()?,
            _bouncers: bouncers,
            _etcd: etcd,
        };
        for index in 0..cluster.nodes.len() {
            cluster.configure(index)?;
            cluster.start_node(index)?;
            // The first one makes the cluster, the others copy it.
            cluster.until("a leader", |members| leader_of(members).is_some()).await?;
        }
        cluster.until_synchronous().await?;
        let leader = cluster.leader().await?;
        cluster.sql(leader, "postgres", &format!("create role marque login password '{}'", cluster.password))?;
        cluster.sql(leader, "postgres", "create database marque owner marque")?;
        Ok(cluster)
    }

    /// Where Marque finds sessions of the database, whoever leads.
    pub fn url(&self) -> String {
        format!("postgres://marque:{}@127.0.0.1:{}/marque", self.password, self.bouncer_port)
    }

    /// Where a pooler hands each transaction to another session, whoever leads.
    pub fn sharing_url(&self) -> String {
        format!("postgres://marque:{}@127.0.0.1:{}/marque", self.password, self.sharing_port)
    }

    /// Where a node is, whatever it is.
    pub fn url_of(&self, index: usize) -> Result<String, Failure> {
        Ok(format!("postgres://marque:{}@127.0.0.1:{}/marque", self.password, self.node(index)?.port))
    }

    fn configure(&self, index: usize) -> Result<(), Failure> {
        let node = self.node(index)?;
        self.account.make_folder(&node.dir)?;
        let user = |name: &str| json!({"username": name, "password": self.password});
        let callback = self.dir.join(format!("on-role-change-{}", node.name));
        let script = format!(
            "#!/bin/sh\n# Patroni calls it with ACTION ROLE CLUSTER: PgBouncer connects to whoever leads now.\n\
             case $2 in master | primary | leader) ;; *) exit 0 ;; esac\n\
             printf '[databases]\\nmarque = host=127.0.0.1 port={port}\\n' >{file}.{port} && mv {file}.{port} {file}\n\
             kill -HUP \"$(cat {pid})\" \"$(cat {sharing})\"\n",
            port = node.port,
            file = self.dir.join("databases.ini").display(),
            pid = self.dir.join("pgbouncer.pid").display(),
            sharing = self.dir.join("pgbouncer-transaction.pid").display(),
        );
        self.account.write(&callback, &script, 0o700)?;
        let config = json!({
            "scope": "marque", "name": node.name,
            "restapi": {"listen": format!("127.0.0.1:{}", node.rest), "connect_address": format!("127.0.0.1:{}", node.rest)},
            "etcd3": {"host": format!("127.0.0.1:{}", self.etcd_port)},
            "bootstrap": {
                "dcs": {
                    "ttl": TTL_SECS, "loop_wait": 2, "retry_timeout": 3, "maximum_lag_on_failover": 104_857_600,
                    "synchronous_mode": true, "synchronous_mode_strict": true,
                    "postgresql": {"use_pg_rewind": true, "parameters": {
                        "max_connections": 100, "wal_log_hints": "on", "shared_buffers": "32MB", "wal_keep_size": "256MB",
                    }},
                },
                "initdb": ["data-checksums", {"encoding": "UTF8"}, {"locale": "C.UTF-8"}],
                "pg_hba": [
                    "host replication replicator 127.0.0.1/32 scram-sha-256", "host all all 127.0.0.1/32 scram-sha-256",
                    "local all all scram-sha-256",
                ],
            },
            "postgresql": {
                "listen": format!("127.0.0.1:{}", node.port), "connect_address": format!("127.0.0.1:{}", node.port),
                "data_dir": node.dir.join("data"), "bin_dir": self.binaries, "pgpass": node.dir.join("pgpass"),
                "authentication": {
                    "superuser": user("postgres"), "replication": user("replicator"), "rewind": user("rewinder"),
                },
                "parameters": {"unix_socket_directories": node.dir},
                "callbacks": {"on_start": callback, "on_role_change": callback},
            },
        });
        // Every JSON text is YAML.
        self.account.write(&node.dir.join("patroni.yml"), &config.to_string(), 0o600)
    }

    fn node(&self, index: usize) -> Result<&Node, Failure> {
        self.nodes.get(index).ok_or_else(|| "there is no such node".into())
    }

    /// Starts a node's Patroni, which starts its Postgres.
    pub fn start_node(&mut self, index: usize) -> Result<(), Failure> {
        let node = self.node(index)?;
        let args = [node.dir.join("patroni.yml").display().to_string()];
        let process = Process::start(&self.account, "/usr/bin/patroni", &args, &node.dir.join("patroni.log"))?;
        if let Some(node) = self.nodes.get_mut(index) {
            node.patroni = Some(process);
        }
        Ok(())
    }

    /// Kills a node's Patroni and all of its Postgres at once, as a machine that loses its power.
    pub fn kill_node(&mut self, index: usize) -> Result<(), Failure> {
        let pid_file = self.node(index)?.dir.join("data/postmaster.pid");
        let postmaster: Option<u32> =
            fs::read_to_string(pid_file).ok().and_then(|text| text.lines().next()?.trim().parse().ok());
        if let Some(patroni) = self.nodes.get_mut(index).and_then(|node| node.patroni.take()) {
            patroni.kill();
        }
        // Its processes end with the first one; none of them gets to write.
        postmaster.map_or(Ok(()), crate::process::kill_tree)
    }

    /// Ends a node in good order.
    pub fn stop_node(&mut self, index: usize) {
        if let Some(patroni) = self.nodes.get_mut(index).and_then(|node| node.patroni.take()) {
            patroni.stop(PATIENCE);
        }
    }

    /// All nodes but one.
    pub fn others(&self, index: usize) -> Vec<usize> {
        (0..self.nodes.len()).filter(|other| *other != index).collect()
    }

    /// Who leads.
    pub async fn leader(&self) -> Result<usize, Failure> {
        let members = self.members().await?;
        let name = leader_of(&members).ok_or("nobody leads")?;
        self.nodes.iter().position(|node| node.name == name).ok_or_else(|| "a stranger leads".into())
    }

    async fn members(&self) -> Result<Vec<Value>, Failure> {
        for node in &self.nodes {
            let url = format!("http://127.0.0.1:{}/cluster", node.rest);
            let Ok(answer) = reqwest::Client::new().get(url).timeout(Duration::from_secs(2)).send().await else {
                continue;
            };
            if let Ok(answer) = answer.json::<Value>().await {
                return Ok(answer.get("members").and_then(Value::as_array).cloned().unwrap_or_default());
            }
        }
        Ok(Vec::new())
    }

    /// Looks at the members until something is so.
    pub async fn until(&self, what: &str, is_so: impl Fn(&[Value]) -> bool) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if is_so(&self.members().await?) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        Err(format!("{what}: not after {} s: {:?}", PATIENCE.as_secs(), self.members().await?).into())
    }

    /// Waits until all three run and one of them is the synchronous standby.
    pub async fn until_synchronous(&self) -> Result<(), Failure> {
        let is_role = |member: &Value, role: &str| member.get("role").and_then(Value::as_str) == Some(role);
        let runs =
            |member: &Value| matches!(member.get("state").and_then(Value::as_str), Some("running" | "streaming"));
        self.until("a synchronous standby", |members| {
            members.len() == 3
                && members.iter().all(runs)
                && members.iter().any(|member| is_role(member, "sync_standby"))
        })
        .await
    }

    /// Waits until another node leads.
    pub async fn until_led_by_another(&self, former: usize) -> Result<(), Failure> {
        let former = self.node(former)?.name.clone();
        let runs = |member: &Value| {
            member.get("role").and_then(Value::as_str) == Some("leader")
                && member.get("state").and_then(Value::as_str) == Some("running")
                && member.get("name").and_then(Value::as_str) != Some(&former)
        };
        self.until("another leader", |members| members.iter().any(runs)).await
    }

    /// Changes the cluster's own settings.
    pub async fn set(&self, settings: &Value) -> Result<(), Failure> {
        let leader = self.leader().await?;
        let url = format!("http://127.0.0.1:{}/config", self.node(leader)?.rest);
        reqwest::Client::new().patch(url).json(settings).send().await?.error_for_status()?;
        Ok(())
    }

    /// What a statement answers at a node, as its superuser.
    pub fn sql(&self, index: usize, database: &str, statement: &str) -> Result<String, Failure> {
        let url = format!("postgres://postgres:{}@127.0.0.1:{}/{database}", self.password, self.node(index)?.port);
        run(std::process::Command::new("psql").args(["-XAtq", "-v", "ON_ERROR_STOP=1", &url, "-c", statement]))
    }

    /// What a statement answers at the leader, in Marque's database.
    pub async fn ask(&self, statement: &str) -> Result<String, Failure> {
        self.sql(self.leader().await?, "marque", statement)
    }
}

fn leader_of(members: &[Value]) -> Option<&str> {
    let leads = |member: &&Value| {
        member.get("role").and_then(Value::as_str) == Some("leader")
            && member.get("state").and_then(Value::as_str) == Some("running")
    };
    members.iter().find(leads)?.get("name")?.as_str()
}

fn etcd(dir: &Path, account: &Account, port: u16, peer: u16) -> Result<Process, Failure> {
    let data = dir.join("etcd");
    account.make_folder(&data)?;
    let (client, peer) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{peer}"));
    let args: Vec<String> = [
        ("--data-dir", data.display().to_string()),
        ("--listen-client-urls", client.clone()),
        ("--advertise-client-urls", client),
        ("--listen-peer-urls", peer.clone()),
        ("--initial-advertise-peer-urls", peer.clone()),
        ("--initial-cluster", format!("default={peer}")),
    ]
    .into_iter()
    .flat_map(|(name, value)| [name.to_owned(), value])
    .collect();
    Process::start(account, "/usr/bin/etcd", &args, &dir.join("etcd.log"))
}

/// A pooler; whom it connects to is in a file that Patroni's callback replaces. In transaction mode there are fewer sessions
/// than clients.
fn bouncer(dir: &Path, account: &Account, mode: &str, port: u16, password: &str) -> Result<Process, Failure> {
    let databases = dir.join("databases.ini");
    if !databases.exists() {
        account.write(&databases, "[databases]\n", 0o600)?;
    }
    account.write(&dir.join("users.txt"), &format!("\"marque\" \"{password}\"\n"), 0o600)?;
    let name = |end: &str| if mode == "session" { format!("pgbouncer{end}") } else { format!("pgbouncer-{mode}{end}") };
    let sessions = if mode == "session" { 60 } else { SHARED_SESSIONS };
    let config = format!(
        "%include {databases}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
         auth_type = scram-sha-256\nauth_file = {users}\npool_mode = {mode}\ndefault_pool_size = {sessions}\n\
         server_login_retry = 1\nserver_connect_timeout = 3\nquery_wait_timeout = 5\nserver_fast_close = 1\n\
         ignore_startup_parameters = extra_float_digits\npidfile = {pid}\nlogfile = {log}\n",
        databases = databases.display(),
        users = dir.join("users.txt").display(),
        pid = dir.join(name(".pid")).display(),
        log = dir.join(name(".log")).display(),
    );
    let file = dir.join(name(".ini"));
    account.write(&file, &config, 0o600)?;
    Process::start(account, "/usr/sbin/pgbouncer", &[file.display().to_string()], &dir.join(name(".out")))
}

/// The newest Postgres of Debian's.
fn binaries() -> Result<PathBuf, Failure> {
    let mut found: Vec<_> = fs::read_dir("/usr/lib/postgresql")?.flatten().map(|entry| entry.path()).collect();
    found.sort();
    Ok(found.pop().ok_or("no Postgres of Debian's: scripts/ha-test installs it")?.join("bin"))
}
