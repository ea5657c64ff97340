//! Paths in the one form that every file store and every web server reads alike.

use crate::text;

/// Whether a text can be a prefix: a path in normal form and a final `/`. The root `/` is one.
pub fn is_prefix(text: &str) -> bool {
    text == "/" || text.strip_suffix('/').is_some_and(is_normal)
}

/// Whether a path in normal form lies under a prefix and is not the prefix itself.
///
/// A path is in normal form if it has no empty segment except before one leading `/`, no segment `.` or `..`, not
/// even before a `;`, no final `/`, none of the characters `\ % ? #`, and passes [`text::check_plain`]. A URI has an
/// empty segment and is none. What is not a prefix has nothing under it.
pub fn is_under(path: &str, prefix: &str) -> bool {
    is_prefix(prefix) && path.len() > prefix.len() && path.starts_with(prefix) && is_normal(path)
}

/// Whether somebody could read a path as the prefix or as one under it: what is not in normal form, anybody could.
pub fn may_be_under(path: &str, prefix: &str) -> bool {
    !is_normal(path) || is_under(path, prefix) || prefix.strip_suffix('/') == Some(path)
}

fn is_normal(path: &str) -> bool {
    // Some web servers drop what follows a `;` before they resolve the dots.
    let is_segment = |segment: &str| !matches!(segment.split(';').next(), None | Some("" | "." | ".."));
    path.strip_prefix('/').unwrap_or(path).split('/').all(is_segment)
        && !path.contains(['\\', '%', '?', '#'])
        && text::check_plain(path).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_prefix_is_normal_and_ends_in_a_slash() {
        for good in ["/", "/a/", "a/", "reports/2026/", "/ä b/c.d/", "/.git/", "/.../"] {
            assert!(is_prefix(good), "{good}");
        }
        for bad in
            ["", "a", "/a", "//", "a//", "/a//b/", "./", "../", "/a/../", "/a/./", "/a%2f/", "a\\/", "/a?/", "/#/"]
        {
            assert!(!is_prefix(bad), "{bad}");
        }
    }

    #[test]
    fn what_is_not_in_normal_form_may_be_anywhere() {
        for path in ["/a/b", "/a", "/b/../a/c", "/b//c", "/b%2fc", "\\a", "/b/", "", "/b/\u{200b}"] {
            assert!(may_be_under(path, "/a/"), "{path:?}");
        }
        for path in ["/b", "/ab", "/b/a/c", "a/b"] {
            assert!(!may_be_under(path, "/a/"), "{path:?}");
        }
    }

    #[test]
    fn what_is_under_a_prefix_is_in_normal_form() {
        for (path, prefix) in [("/a/b", "/a/"), ("/a/b/c", "/a/"), ("/a", "/"), ("reports/2026/x.pdf", "reports/2026/")]
        {
            assert!(is_under(path, prefix), "{path} under {prefix}");
        }
        for (path, prefix) in [
            ("/a/", "/a/"),
            ("/a", "/a/"),
            ("/ab/c", "/a/"),
            ("/b/a/c", "/a/"),
            ("a/b", "/"),
            ("/a/../b", "/a/"),
            ("/a/..", "/a/"),
            ("/a/.", "/a/"),
            ("/a/./b", "/a/"),
            ("/a//b", "/a/"),
            ("//b", "/"),
            ("/a/b/", "/a/"),
            ("/a/%2e%2e/b", "/a/"),
            ("/a/..\\b", "/a/"),
            ("/a/..;/b", "/a/"),
            ("/a/.;x/b", "/a/"),
            ("/a/;x/b", "/a/"),
            ("/a/b?c", "/a/"),
            ("/a/b#c", "/a/"),
            ("/a/b\u{0}", "/a/"),
            ("/a/b\n", "/a/"),
            ("/a/\u{202e}b", "/a/"),
            ("/a/e\u{301}", "/a/"),
            ("https://x.example/a", "https://x.example/"),
            ("/ab", "/a"),
            ("/a/b", ""),
            ("/a/../b", "/a/../"),
        ] {
            assert!(!is_under(path, prefix), "{path:?} under {prefix:?}");
        }
    }

    /// Always the same cases: a failure today is a failure tomorrow.
    fn fixed() -> ProptestConfig {
        let rng_seed = proptest::test_runner::RngSeed::Fixed(7);
        ProptestConfig { cases: 4096, rng_seed, failure_persistence: None, ..ProptestConfig::default() }
    }

    proptest! {
        #![proptest_config(fixed())]

        #[test]
        fn under_is_by_segments_for_whoever_resolves_the_path(path in "/?([ab.%2e]{1,2}/){0,3}[ab.]{0,2}", prefix in "/([ab.]{1,2}/){0,2}") {
            if is_under(&path, &prefix) {
                let url = url::Url::parse("https://x.example/").unwrap().join(&path).unwrap();
                prop_assert_eq!(url.path(), &path, "nothing to resolve");
                let segments = |text: &str| text.split('/').map(str::to_owned).collect::<Vec<_>>();
                prop_assert!(segments(&path).starts_with(&segments(prefix.trim_end_matches('/'))));
            }
        }

        #[test]
        fn under_is_transitive(path in "/([ab]/){0,3}[ab]", outer in "/([ab]/){0,2}", inner in "/([ab]/){0,2}") {
            if is_under(&path, &inner) && inner.starts_with(&outer) {
                prop_assert!(is_under(&path, &outer));
            }
        }
    }
}
