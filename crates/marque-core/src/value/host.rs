//! The host that an e-mail address or a host name belongs to.
//!
//! Mail programs and resolvers read unusual forms differently. Such a form has no host here, so that no
//! constraint on hosts accepts it.

/// Bytes of a host name as text (RFC 1035 §2.3.4, without the final dot).
pub const HOST_BYTES: usize = 253;
/// Bytes of a label of a host name (RFC 1035 §2.3.4).
const LABEL_BYTES: usize = 63;
/// Bytes of the local part of an e-mail address (RFC 5321 §4.5.3.1.1).
pub const LOCAL_PART_BYTES: usize = 64;

/// The host of an e-mail address or of a bare host name; `None` if the text is neither in the one form that
/// everybody reads alike. An address is exactly one: no display name, no quotes, no route.
pub fn host_of(text: &str) -> Option<&str> {
    let host = match text.split_once('@') {
        Some((local, host)) => is_local_part(local).then_some(host)?,
        None => text,
    };
    is_host(host).then_some(host)
}

/// Whether a text is a host name: two or more labels of ASCII lower-case letters, digits and inner hyphens, the
/// last not of digits only, which excludes IP addresses. No final dot.
pub fn is_host(text: &str) -> bool {
    let last_is_name = text.rsplit('.').next().is_some_and(|last| last.bytes().any(|byte| !byte.is_ascii_digit()));
    text.len() <= HOST_BYTES && text.contains('.') && last_is_name && text.split('.').all(is_label)
}

/// Whether a host is the domain or, with `subdomains`, below it: at the dots, so that `evilx.com` is not in
/// `x.com`. Both are expected to be host names.
pub fn is_within(host: &str, domain: &str, subdomains: bool) -> bool {
    let is_below =
        || host.strip_suffix(domain).and_then(|more| more.strip_suffix('.')).is_some_and(|sub| !sub.is_empty());
    host == domain || (subdomains && !domain.is_empty() && is_below())
}

fn is_label(label: &str) -> bool {
    (1..=LABEL_BYTES).contains(&label.len())
        && label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// Atoms with dots between them (RFC 5322 §3.2.3) without `%` and `!`, with which some servers relay elsewhere.
fn is_local_part(local: &str) -> bool {
    let is_atom = |atom: &str| !atom.is_empty() && atom.bytes().all(is_atom_byte);
    local.len() <= LOCAL_PART_BYTES && local.split('.').all(is_atom)
}

fn is_atom_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"#$&'*+-/=?^_`{|}~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_address_and_a_name_have_a_host() {
        let longest_label = format!("{}.example", "a".repeat(LABEL_BYTES));
        for (text, host) in [
            ("x.com", "x.com"),
            ("mail.x.com", "mail.x.com"),
            ("a@x.com", "x.com"),
            ("First.Last+tag@sub.x.com", "sub.x.com"),
            ("o'neil_{x}|y~@x-y.example", "x-y.example"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("1.2.3.4.example", "1.2.3.4.example"),
            ("3com.com", "3com.com"),
            (&longest_label, &longest_label),
        ] {
            assert_eq!(host_of(text), Some(host), "{text}");
        }
        assert!(host_of(&format!("{}@x.com", "a".repeat(LOCAL_PART_BYTES))).is_some());
        let label = "a".repeat(LABEL_BYTES);
        assert!(is_host(&format!("{label}.{label}.{label}.{}", "a".repeat(61))), "253 bytes");
    }

    #[test]
    fn whatever_somebody_reads_differently_has_none() {
        let label = "a".repeat(LABEL_BYTES);
        let too_long = [
            format!("{label}a.com"),
            format!("{label}.{label}.{label}.{}", "a".repeat(62)),
            format!("{label}aa@x.com"),
        ];
        for bad in too_long.iter().map(String::as_str).chain([
            "",
            "com",
            "a@com",
            "x.com.",
            ".x.com",
            "x..com",
            "X.com",
            "a@X.com",
            "127.0.0.1",
            "a@127.0.0.1",
            "a@[127.0.0.1]",
            "[::1]",
            "x.com:80",
            "https://x.com",
            "x.com/a",
            "-x.com",
            "x-.com",
            "x_y.com",
            "b\u{fc}cher.example",
            "a@x\u{3002}com",
            "x.com\u{200b}",
            "x.com ",
            " x.com",
            "a b@x.com",
            "@x.com",
            "a@",
            "a@@x.com",
            "a@b@x.com",
            "a@x.com,b@y.com",
            "a@x.com;b@y.com",
            "A <a@x.com>",
            "\"a b\"@x.com",
            "a(comment)@x.com",
            ".a@x.com",
            "a.@x.com",
            "a..b@x.com",
            "a%y.com@x.com",
            "y.com!a@x.com",
            "\u{fc}@x.com",
            "a\n@x.com",
            "a@x.com\n",
            "a\u{0}@x.com",
            "mailto:a@x.com",
        ]) {
            assert_eq!(host_of(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_domain_ends_at_a_dot() {
        assert!(is_within("x.com", "x.com", false));
        assert!(is_within("x.com", "x.com", true));
        assert!(is_within("a.b.x.com", "x.com", true));
        assert!(!is_within("a.x.com", "x.com", false));
        assert!(!is_within("evilx.com", "x.com", true));
        assert!(!is_within("x.com", "a.x.com", true));
        assert!(!is_within("x.com.evil.example", "x.com", true));
        assert!(!is_within(".x.com", "x.com", true));
        assert!(!is_within("x.com.", "", true), "the empty domain holds nothing");
    }

    /// Always the same cases: a failure today is a failure tomorrow.
    fn fixed() -> ProptestConfig {
        let rng_seed = proptest::test_runner::RngSeed::Fixed(7);
        ProptestConfig { cases: 1024, rng_seed, failure_persistence: None, ..ProptestConfig::default() }
    }

    proptest! {
        #![proptest_config(fixed())]

        #[test]
        fn a_host_is_what_a_url_parser_keeps(text in "[a-cA0-2x.@_-]{0,12}(\\.[a-c0-1-]{1,3})?") {
            if let Some(host) = host_of(&text) {
                prop_assert!(is_host(host) && text.ends_with(host));
                let url = url::Url::parse(&format!("https://{host}/")).unwrap();
                prop_assert_eq!(url.domain(), Some(host), "as it is, and no IP address");
            }
        }

        #[test]
        fn within_is_by_labels(host in "[ab](\\.[ab]{1,2}){0,4}", domain in "[ab](\\.[ab]{1,2}){0,3}") {
            let (labels, of): (Vec<_>, Vec<_>) = (host.split('.').collect(), domain.split('.').collect());
            prop_assert_eq!(is_within(&host, &domain, true), labels.ends_with(&of));
            prop_assert_eq!(is_within(&host, &domain, false), labels == of);
        }
    }
}
