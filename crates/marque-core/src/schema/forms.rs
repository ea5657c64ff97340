//! The forms of texts as regular expressions that all dialects read alike.

/// A text without the best-known characters of which no text of a plan has one.
pub(super) const PLAIN: &str = r"^[^\u0000-\u001f\u007f-\u009f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]*$";

/// The same, and not empty.
pub(super) const SOME_TEXT: &str =
    r"^[^\u0000-\u001f\u007f-\u009f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]+$";

/// A decimal number. There is no negative zero.
pub(super) const DECIMAL: &str =
    r"^(0(\.[0-9]{1,28})?|-0\.[0-9]{0,27}[1-9][0-9]{0,27}|-?[1-9][0-9]{0,27}|-?[1-9][0-9]{0,26}\.[0-9]{1,27})$";

/// A decimal number that is not below zero.
pub(super) const NOT_NEGATIVE: &str = r"^(0(\.[0-9]{1,28})?|[1-9][0-9]{0,27}|[1-9][0-9]{0,26}\.[0-9]{1,27})$";

/// `YYYY-MM-DDTHH:MM:SSZ`.
pub(super) const TIMESTAMP: &str = "^[0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|[12][0-9]))\
     T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z$";

/// A host name of two or more labels.
pub(super) fn host() -> String {
    const LABEL: &str = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?";
    const LAST: &str = "([0-9]{0,62}[a-z]([a-z0-9-]{0,61}[a-z0-9])?|[0-9]{1,61}-[a-z0-9-]{0,60}[a-z0-9])";
    format!(r"^({LABEL}\.)+{LAST}$")
}

/// An http(s) URI: a name, an IPv4 or an IPv6 address, a port, a path without a final slash.
pub(super) fn location() -> String {
    const LABEL: &str = "[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?";
    const LAST: &str = "([0-9]{0,62}[a-z_]([a-z0-9_-]{0,61}[a-z0-9_])?|[0-9]{1,61}-[a-z0-9_-]{0,60}[a-z0-9_])";
    const BYTE: &str = "(0|[1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-5])";
    const GROUP: &str = "[1-9a-f][0-9a-f]{0,3}";
    const PORT: &str = "(0|[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])";
    const PATH: &str = "A-Za-z0-9_~!$&'()*+,;=:@-";
    let name = format!(r"({LABEL}\.)*{LAST}");
    let v4 = format!(r"({BYTE}\.){{3}}{BYTE}");
    let v6 = format!(r"\[({GROUP}(:{GROUP}){{7}}|({GROUP}(:{GROUP})?)?::({GROUP}(:{GROUP}){{0,3}})?)\]");
    let segment = segment(&format!("[{PATH}]"), &format!("[.{PATH}]"), &format!("[.{PATH}]"));
    format!("^https?://({name}|{v4}|{v6})(:{PORT})?((/{segment}?)*/{segment})?$")
}

/// A path in normal form and a final slash.
pub(super) fn prefix() -> String {
    let segment = segment(r"[^.;/\\%?#]", r"[^;/\\%?#]", r"[^/\\%?#]");
    format!("^(/|/?({segment}/)+)$")
}

/// A segment of a path that is not empty and neither `.` nor `..`, by its characters: such as make it none of these,
/// such as do behind two dots, and all.
fn segment(not_dot: &str, third: &str, any: &str) -> String {
    format!(r"({not_dot}{any}*|\.{not_dot}{any}*|\.\.{third}{any}*)")
}

/// A JSON pointer.
pub(super) const POINTER: &str = "^(/([^~/]|~[01])*)*$";

/// A segment of a JSON pointer other than `*`.
const NOT_STAR: &str = "([^~/*]|~[01]|([^~/]|~[01])([^~/]|~[01])+)?";

/// A JSON pointer without a segment `*`.
pub(super) fn place() -> String {
    format!("^(/{NOT_STAR})*$")
}

/// A JSON pointer with exactly one segment `*`.
pub(super) fn column() -> String {
    format!(r"^(/{NOT_STAR})*/\*(/{NOT_STAR})*$")
}
