//! What names suggest. A name proves nothing, but one that says more than the catalog admits is worth a question.

use super::super::Sensitive;
use crate::plan::Class;

/// Words of reading: an action that begins or ends with one looks at something.
const READING: &str = "check count describe download fetch find get inspect list lookup preview query read search show \
     status view watch";

/// Words of effects, the gravest class first.
const EFFECTS: &[(Class, &str)] = &[
    (
        Class::Grant,
        "allow approve assign authorize elevate grant impersonate invite permission permissions permit \
         privilege promote role roles share unlock",
    ),
    (
        Class::Pay,
        "buy charge checkout debit invest order pay payment payments payout purchase refund remit subscribe \
         trade transfer transfers withdraw withdrawal",
    ),
    (Class::Send, "email export forward mail message notify post publish push reply send sms tweet upload webhook"),
    (Class::Run, "command deploy eval exec execute invoke launch restart run script shell trigger"),
    (Class::Delete, "cancel clear close delete destroy drop erase purge remove revoke terminate wipe"),
    (
        Class::Change,
        "change disable edit enable merge modify move patch put rename replace reset rotate set update write",
    ),
    (Class::Create, "add book copy create draft import insert make new open register"),
];

/// Names of what is at stake, by what it is.
const STAKES: &[(Sensitive, &str)] = &[
    (
        Sensitive::Access,
        "access acl credential credentials group groups key member members password permission permissions \
         policy privilege role roles scope scopes secret token",
    ),
    (
        Sensitive::Money,
        "account amount amounts beneficiary bic card creditor currency debtor fee iban payee payer price \
         quantity sum total",
    ),
    (
        Sensitive::Egress,
        "address attachment attachments bcc callback cc channel destination domain email emails endpoint host \
         phone recipient recipients to uri url urls webhook",
    ),
    (Sensitive::Identity, "assignee customer identity behalf owner person sub user username"),
];

/// Names of what somebody else writes.
const THIRD_PARTY: &str = "address author bic bio body caption comment comments content contents description email from html \
     iban markdown memo message messages name note notes payee phone purpose reason reference reply \
     sender snippet subject summary text title transcript url website";

/// Names of records that somebody else fills: who sends something in, signs up, or keeps an entry of their own.
const OF_OTHERS: &str = "applicant applicants attendee attendees comment comments contact contacts email emails guest guests \
     invoice invoices lead leads listing listings mail mails message messages page pages post posts profile profiles \
     review reviews seller sellers sender senders supplier suppliers ticket tickets vendor vendors website websites";

/// Names of free texts.
const FREE_TEXT: &str = "bio body caption comment comments content contents description html markdown memo message note notes \
     snippet summary text transcript";

/// Words that tell a reader not to worry.
const REASSURING: &str =
    "approved authorized harmless necessary required routine safe safely secure securely trusted verified";

/// The words of a name: split at everything that is no letter or digit, and where a capital begins a new word.
pub fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for c in name.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && before.is_lowercase()) {
            words.push(String::new());
        }
        if let (true, Some(word)) = (c.is_alphanumeric(), words.last_mut()) {
            word.extend(c.to_lowercase());
        }
        before = c;
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Whether a name says that its action only looks at something.
pub fn reads(name: &str) -> bool {
    let words = words(name);
    let is_reading = |word: Option<&String>| word.is_some_and(|word| is_in(word, READING));
    let does_more = words.iter().any(|word| matches!(word.as_str(), "and" | "or" | "then"));
    !does_more && (is_reading(words.first()) || is_reading(words.last()))
}

/// The class that the name of an action suggests, if any: the gravest of its words. The name of one that reads suggests
/// a read, whatever it reads.
pub fn suggested_class(name: &str) -> Option<Class> {
    if reads(name) {
        return Some(Class::Read);
    }
    let words = words(name);
    let says = |list: &&str| words.iter().any(|word| is_in(word, list));
    EFFECTS.iter().find(|(_, list)| says(list)).map(|(class, _)| *class)
}

/// What the name of an argument suggests to be at stake, for an action of a class. A read moves no money and gives no
/// access; what it is sent to may still be outside.
pub fn suggested_stake(class: Class, name: &str) -> Option<Sensitive> {
    let words = words(name);
    let says = |list: &&str| words.iter().any(|word| is_in(word, list));
    let found = STAKES.iter().filter(|(_, list)| says(list)).map(|(stake, _)| *stake);
    let mut found = found.filter(|stake| class != Class::Read || *stake == Sensitive::Egress);
    found.next()
}

/// Whether a field of a result looks like something that somebody else wrote. A pointer is named by its last words.
pub fn looks_third_party(pointer: &str) -> bool {
    is_named(pointer, THIRD_PARTY)
}

/// Whether a collection is named like records that somebody else fills.
pub fn looks_filled_by_others(collection: &str) -> bool {
    words(collection).iter().any(|word| is_in(word, OF_OTHERS))
}

/// Whether a field of a result looks like free text.
pub fn looks_like_free_text(pointer: &str) -> bool {
    is_named(pointer, FREE_TEXT)
}

/// The word of a sentence that tells its reader not to worry, if there is one.
pub fn reassuring(sentence: &str) -> Option<String> {
    words(sentence).into_iter().find(|word| is_in(word, REASSURING))
}

fn is_in(word: &str, list: &str) -> bool {
    list.split(' ').any(|listed| listed == word)
}

fn is_named(pointer: &str, list: &str) -> bool {
    let last = pointer.rsplit('/').find(|part| *part != "*").unwrap_or_default();
    words(last).iter().any(|word| is_in(word, list))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_split_into_words() {
        assert_eq!(words("transferFunds.v2_now"), ["transfer", "funds", "v2", "now"]);
        assert_eq!(words("HTTPGet"), ["httpget"]);
        assert!(words("--").is_empty());
    }

    #[test]
    fn a_name_suggests_its_gravest_effect_unless_it_reads() {
        for (name, class) in [
            ("transfer_funds", Some(Class::Pay)),
            ("payment.make", Some(Class::Pay)),
            ("list_payments", Some(Class::Read)),
            ("invoice.read", Some(Class::Read)),
            ("get_and_delete_message", Some(Class::Send)),
            ("shareFolder", Some(Class::Grant)),
            ("weather", None),
        ] {
            assert_eq!(suggested_class(name), class, "{name}");
        }
    }

    #[test]
    fn a_read_moves_no_money_and_may_still_reach_outside() {
        assert_eq!(suggested_stake(Class::Pay, "toIban"), Some(Sensitive::Money));
        assert_eq!(suggested_stake(Class::Read, "iban"), None);
        assert_eq!(suggested_stake(Class::Read, "callback_url"), Some(Sensitive::Egress));
        assert_eq!(suggested_stake(Class::Change, "colour"), None);
    }

    #[test]
    fn a_pointer_is_named_by_its_last_words() {
        assert!(looks_third_party("/items/*/from") && looks_third_party("/messages/*"));
        assert!(!looks_third_party("/message/id") && looks_like_free_text("/mail/bodyHtml"));
    }
}
