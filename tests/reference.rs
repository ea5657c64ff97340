//! The reference pages that are generated from the code are the committed ones.
//! `MARQUE_UPDATE_DOCS=1 cargo test --test reference` writes them anew.

use marque::http::router::{Caller, ROUTES};
use marque_core::reason::Reason;
use marque_core::schema::plan_schema;
use std::path::Path;

fn expect_page(path: &str, generated: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if marque::environment::variable("MARQUE_UPDATE_DOCS").is_some() {
        std::fs::write(&file, generated).unwrap();
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        committed == generated,
        "{path} is not what the code says: run MARQUE_UPDATE_DOCS=1 cargo test --test reference"
    );
}

#[test]
fn the_page_of_reasons_is_up_to_date() {
    let mut page = String::from(
        "# Reasons\n\nOne closed list, the same in HTTP bodies, evaluations, gate, log and documents. The code is stable; the \
         sentence may change. Generated from `crates/marque-core/src/reason.rs`.\n\nThe order is the precedence: where several \
         of these hold of a call at one step, the one that stands first here is given; among the steps, the one whose reason \
         stands last came closest, and names `nearest`. `too_much_work` says that the rest was not looked at.\n\n| code | what it means, and what mends it |\n|---|---|\n",
    );
    for reason in Reason::ALL {
        page += &format!("| `{}` | {} |\n", reason.code(), reason.meaning());
    }
    expect_page("docs/reference/reasons.md", &page);
}

#[test]
fn the_page_of_endpoints_is_up_to_date() {
    let mut page = String::from(
        "# Endpoints\n\nPaths are below a realm's issuer, `…/realms/{realm}`; both kinds of metadata are also answered \
         at the inserted well-known path (RFC 8414 §3). `/health/live` and `/health/ready` are on the management port. Generated \
         from `src/http/router.rs`.\n\n| method | path | who may call it |\n|---|---|---|\n",
    );
    for route in ROUTES {
        let caller = match route.caller {
            Caller::Anyone => "everybody",
            Caller::Client => "a client of the realm: a client assertion or a certificate, and a DPoP proof",
            Caller::ResourceServer => "a resource server: an access token of the realm whose only audience is Marque",
            Caller::Holder => {
                "a client of the realm, about a token of its own: a client assertion or a certificate; a DPoP proof need not be sent"
            }
            Caller::HolderOrResourceServer => {
                "a client of the realm, about a token of its own: a client assertion or a certificate; or a resource server: an \
                 access token of the realm whose only audience is Marque"
            }
            Caller::Administrator => {
                "an administrator: a fresh access token of the realm for the client `admin_client_id`, whose only audience is Marque, with the realm role `marque-admin`"
            }
            Caller::Extension => "the realm's extension: a message that the realm signed for this plan",
            Caller::Browser => "a browser that began here, or is signed in as the plan's user",
        };
        page += &format!("| {} | `{}` | {caller} |\n", route.method, route.path);
    }
    expect_page("docs/reference/endpoints.md", &page);
}

#[test]
fn the_schema_of_plans_is_up_to_date() {
    let page = serde_json::to_string_pretty(&plan_schema()).unwrap();
    expect_page("docs/reference/plan.schema.json", &format!("{page}\n"));
}
