//! Further locations of the stack's resource server, as long as a test needs them: those of other programs expect that it has one. What
//! runs beside it in this one sees them. Only one program may change them at a time.

use super::keys::Client;
use super::realm::Admin;
use super::reply::Reply;
use super::stack::Stack;
use super::until;
use marque_core::names::TYP_CATALOG;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::Mutex;

/// How many tests hold a location now.
static HELD: Mutex<BTreeMap<String, usize>> = Mutex::const_new(BTreeMap::new());

/// Locations that the resource server answers for and describes until this is dropped, also where the test fails. Where several
/// tests hold the same one, the last takes it away.
#[must_use = "dropped, the resource server no longer answers for it"]
pub struct Places {
    stack: Stack,
    locations: Vec<String>,
}

impl Places {
    /// The resource server describes one action at each location. A location is described alike each time: its catalog stays.
    pub async fn described(stack: &Stack, locations: &[&str], (name, action): (&str, Value)) -> Self {
        let places = Self::undescribed(stack, locations).await;
        let key = Client::of(&stack.env.clients.rs).signing;
        for location in locations {
            let iss = &stack.env.clients.rs.client_id;
            let document = json!({"iss": iss, "version": 1, "location": location, "actions": {name: action}});
            until("the catalog of a further location", || async {
                let request = stack.http.post(stack.url("/catalogs")).bearer_auth(stack.access_token().await);
                let request = request.header("content-type", "application/jose").body(key.sign(TYP_CATALOG, &document));
                Reply::to("a catalog", request).await.status == 201
            })
            .await;
        }
        places
    }

    /// The resource server answers for the locations, and says nothing about them.
    pub async fn undescribed(stack: &Stack, locations: &[&str]) -> Self {
        let mut held = HELD.lock().await;
        let all = locations.iter().copied().collect();
        let rs = &stack.env.clients.rs.client_id;
        Admin::sign_in(stack).await.add_words(rs, "marque.locations", &all).await;
        for location in locations {
            *held.entry((*location).to_owned()).or_default() += 1;
        }
        Self { stack: stack.clone(), locations: locations.iter().map(|location| (*location).to_owned()).collect() }
    }

    async fn taken_away(stack: Stack, locations: Vec<String>) {
        let mut held = HELD.lock().await;
        for location in &locations {
            *held.get_mut(location).unwrap() -= 1;
        }
        let free: BTreeSet<&str> =
            locations.iter().map(String::as_str).filter(|location| held[*location] == 0).collect();
        let rs = &stack.env.clients.rs.client_id;
        Admin::sign_in(&stack).await.remove_words(rs, "marque.locations", &free).await;
    }
}

/// In a thread and with connections of its own: the test's are those of a runtime that waits here.
impl Drop for Places {
    fn drop(&mut self) {
        let stack = Stack { http: super::stack::http(), ..self.stack.clone() };
        let taken_away = Self::taken_away(stack, std::mem::take(&mut self.locations));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let done = std::thread::spawn(move || runtime.block_on(taken_away)).join();
        assert!(done.is_ok() || std::thread::panicking(), "the locations are taken away again");
    }
}
