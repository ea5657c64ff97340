//! Examples: of each kind of constraint, where `find` is an earlier step with an argument `customer`; and of a plan.

use serde_json::{Value, json};

/// The examples of a kind; each is a whole constraint.
pub(super) fn of_kind(kind: &str) -> Value {
    match kind {
        "const" => json!([{"const": "INV-2026-001"}, {"const": true}]),
        "one_of" => json!([{"one_of": ["low", "normal"]}]),
        "text" => json!([{"text": {"max": 400}}, {"text": {"max": 2000, "urls": true}}]),
        "pattern" => json!([{"pattern": "INV-[0-9]{4}-[0-9]{3}"}]),
        "num" => json!([{"num": {"min": "1", "max": "12"}}, {"num": {"max": "0.5"}}]),
        "amount" => json!([{"amount": {"max": "250.00", "currency": "EUR"}}]),
        "time_window" => json!([{"time_window": {"from": "2026-11-23T08:00:00Z", "to": "2026-11-27T17:00:00Z"}}]),
        "domain" => json!([{"domain": {"any_of": ["example.com"], "subdomains": true}}]),
        "prefix" => json!([{"prefix": "/reports/2026/"}]),
        "items" => json!([{"items": {"of": {"domain": {"any_of": ["example.com"]}}, "max": 5}}]),
        "each" => json!([{"each": {"pattern": "[A-Z]{3}"}}]),
        "obj" => json!([{"obj": {"city": {"const": "Bern"}, "note": {"optional": {"text": {"max": 80}}}}}]),
        "all" => json!([{"all": [{"prefix": "/reports/"}, {"pattern": ".*[.]pdf"}]}]),
        "either" => json!([{"either": [{"const": "none"}, {"num": {"min": "1", "max": "5"}}]}]),
        "optional" => json!([{"optional": {"text": {"max": 80}}}]),
        "ref" => references(),
        "ref_set" => json!([{"ref_set": {"step": "find", "field": "/members/*/email"}}]),
        "same_as" => json!([{"same_as": {"step": "find", "arg": "customer"}}]),
        "fmt" => json!([{"fmt": {
            "template": "Invoice {number} of {month}",
            "slots": {"number": {"ref": {"step": "find", "field": "/invoice/number"}}, "month": {"one_of": ["October", "November"]}},
        }}]),
        "compute" => json!([{"compute": {
            "expr": "round(total / people, 2)",
            "vars": {"total": {"ref": {"step": "find", "field": "/total"}}, "people": {"const": 4}},
        }}]),
        "rel" => json!([{"rel": {"base": {"ref": {"step": "find", "field": "/rent"}}, "min": "0", "max": "100.00"}}]),
        "attr" => json!([{"attr": {"collection": "contacts", "where": {"/department": {"const": "Finance"}}}}]),
        "extract" => json!([{"extract": {"step": "find", "type": "iban"}}]),
        "quote" => json!([{"quote": {"step": "find"}}]),
        "any" => json!([{"any": true}]),
        _ => json!([]),
    }
}

fn references() -> Value {
    json!([
        {"ref": {"step": "find", "field": "/invoice/total"}},
        {"ref": {"step": "find", "field": "/invoices/*/total", "where": {"/status": {"const": "open"}}, "reduce": "sum"}},
        {"ref": {"step": "find", "field": "/rooms/*/id", "where": {"/seats": {"num": {"min": "8"}}}, "reduce": {"argmin": "/price"}}},
    ])
}

/// Pays the one open invoice of a customer and tells her.
pub(super) fn plan() -> Value {
    json!({
        "version": 1,
        "purpose": "Pay the open invoice of Miller Ltd and confirm it by e-mail",
        "agent": "office-agent",
        "user": {"username": "alice"},
        "mode": "strict",
        "limits": {
            "lifetime_secs": 3600, "max_hops": 0, "max_step_ups": 1,
            "budgets": [{"steps": ["pay"], "arg": "amount", "max": "500.00", "currency": "EUR"}],
        },
        "steps": [
            {
                "id": "find", "location": "https://billing.example.com", "action": "invoice.list",
                "resource": {"type": "customer", "id": "miller"},
                "args": {"status": {"const": "open"}, "page": {"optional": {"num": {"min": "1", "max": "5"}}}},
                "uses": 9,
            },
            {
                "id": "pay", "location": "https://bank.example.com", "action": "transfer.create",
                "resource": {"type": "account", "id": "office"},
                "args": {
                    "amount": {"all": [
                        {"ref": {"step": "find", "field": "/invoices/*/amount", "where": {"/number": {"const": "M-17"}}, "reduce": "lookup"}},
                        {"amount": {"max": "500.00", "currency": "EUR"}},
                    ]},
                    "to": {"ref": {"step": "find", "field": "/creditor/iban"}},
                    "text": {"const": "Invoice M-17"},
                },
                "after": ["find"],
                "approve": "step_up",
            },
            {
                "id": "tell", "location": "https://mail.example.com", "action": "mail.send",
                "resource": {"type": "mailbox", "id": "alice"},
                "args": {
                    "to": {"domain": {"any_of": ["miller.example"]}},
                    "subject": {"const": "Invoice M-17"},
                    "body": {"text": {"max": 600}},
                },
                "after": ["pay"],
            },
        ],
        "blocked": [{"action": "mail.delete"}],
    })
}
