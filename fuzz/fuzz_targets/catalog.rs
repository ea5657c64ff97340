//! A resource server's catalog.
#![no_main]

use libfuzzer_sys::fuzz_target;
use marque_core::canonical::{Digest, canonical};
use marque_core::catalog::{Catalog, Part, slots};

fuzz_target!(|bytes: &[u8]| {
    let Ok(catalog) = Catalog::parse(bytes) else { return };
    assert_eq!(catalog.reference().sha256, Digest::of(bytes), "the digest is of the octets as they came");
    assert_eq!(catalog.lowered_since(&catalog), [], "nothing is milder than itself");
    let document = catalog.document();
    let again = Catalog::parse(&canonical(&serde_json::to_value(document).expect("a value")));
    assert_eq!(again.as_ref().map(Catalog::document), Ok(document), "what is written reads back");
    for template in document.actions.values().flat_map(|action| action.display.values()) {
        let parts = slots(template).expect("the template of a catalog");
        assert_eq!(&parts.iter().map(written).collect::<String>(), template, "the parts are the whole");
    }
});

fn written(part: &Part<'_>) -> String {
    match part {
        Part::Text(text) => (*text).to_owned(),
        Part::Resource => "{resource}".to_owned(),
        Part::Argument(name) => format!("{{args.{name}}}"),
    }
}
