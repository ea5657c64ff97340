//! Every limit of the plan language and of the tokens, each with its unit and its reason.

/// Bytes of a submitted plan. A person reads the plan in one sitting; 64 KiB is some 200 steps.
pub const PLAN_BYTES: usize = 64 * 1024;
/// Bytes of a concrete call's arguments: as much as a plan, since a plan could name them all.
pub const CALL_BYTES: usize = 64 * 1024;
/// Bytes of a catalog's payload: some hundred actions with their sentences in several languages, and an administrator
/// reads what is new in one.
pub const CATALOG_BYTES: usize = 256 * 1024;
/// Bytes of a result receipt's payload, and of what is disclosed with it: a page of free text, or some thousand rows.
pub const RECEIPT_BYTES: usize = 256 * 1024;
/// Bytes of a disclosure's salt: nobody guesses a value by trying hashes (RFC 9901 §9.3).
pub const SALT_BYTES: usize = 16;
/// Bytes of an evidence file: plan, catalogs and assertion, each in base64url.
pub const EVIDENCE_BYTES: usize = 2 * 1024 * 1024;
/// Nesting of JSON. Constraints nest a handful of levels; more only costs stack.
pub const JSON_DEPTH: usize = 32;
/// Nesting of a token's claims, which Marque itself signed: a chain of 64 actors, each within the next (RFC 8693 §4.1),
/// and the rest as deep as in a plan.
pub const CLAIMS_DEPTH: usize = 64 + JSON_DEPTH;
/// Values in one JSON document: bounds the work for documents of many tiny members.
pub const JSON_VALUES: usize = 20_000;
/// Steps of a plan. Beyond 200 nobody reads them.
pub const STEPS: usize = 200;
/// Characters of an identifier: step id, client id, action, resource id, argument name.
pub const IDENTIFIER_CHARS: usize = 512;
/// Characters of the purpose: one sentence or two.
pub const PURPOSE_CHARS: usize = 280;
/// Characters of a reason a person gives for a denial.
pub const DENIAL_REASON_CHARS: usize = 280;
/// Alternatives of a `one_of`: a person cannot compare more.
pub const ALTERNATIVES: usize = 100;
/// Characters of one value in a constraint, as it is shown: a longer one would push the rest off the page.
pub const VALUE_CHARS: usize = 1024;
/// Arguments that one step may name: no published tool has as many, and each is a line that a person reads.
pub const ARGUMENTS: usize = 64;
/// Clients that one plan may name as delegates: a person knows each of those whom she lets act for her.
pub const DELEGATES: usize = 16;
/// Times a counted step may be used: beyond that nobody counts, and each use is an entry that a ledger keeps and that
/// later decisions may look at.
pub const USES: u64 = 10_000;
/// Hops that a plan may allow; the custody chain is carried in every token.
pub const HOPS: u32 = 8;
/// Characters that a `text` constraint may allow: a long letter of some ten pages. A longer text is a file.
pub const TEXT_CHARS: u64 = 20_000;
/// Levels of constraints within constraints: deeper ones nobody reads, and the depth bounds every recursion.
pub const CONSTRAINT_DEPTH: usize = 8;
/// Parts that one argument's constraint may have in all: more do not fit a page.
pub const CONSTRAINT_PARTS: usize = 256;
/// Parts of an `all`, an `either`, a row's predicate or a template: a person keeps that many apart.
pub const BRANCHES: usize = 16;
/// Items that an `items` constraint may allow: a batch, each item of which is tested one by one.
pub const ITEMS: u64 = 1_000;
/// Characters of the longest timestamp that a `time_window` constraint takes: RFC 3339 with nine digits of a second,
/// which is what clocks give, and a numeric offset.
pub const TIMESTAMP_CHARS: u64 = 35;
/// Entries of a plan's `blocked`: each call is held against all of them, and a person reads them with every plan.
pub const BLOCKED: usize = 32;
/// Budgets of a plan: a person keeps that many sums apart, and a call of a step in all of them adds up each.
pub const BUDGETS: usize = 16;
/// Turns that a plan may allow, where it counts them: one a minute for a whole working week. Who wants more does not
/// count them.
pub const TURNS: u64 = 10_000;
/// Step-ups that a plan may ask a person for: more are not looked at any more.
pub const STEP_UPS: u64 = 20;
/// Step-ups of a plan that needs some and does not say how many: as often as somebody bears to be asked in one sitting.
pub const DEFAULT_STEP_UPS: u64 = 5;
/// Seconds that a resource server's challenge may live: the agent hands it in at once.
pub const CHALLENGE_SECS: i64 = 300;
/// Bytes of a challenge's payload: the arguments of a call, and some names around them.
pub const CHALLENGE_BYTES: usize = CALL_BYTES + 16 * 1024;
/// Characters of the reason that a resource server gives for a challenge: one sentence or two.
pub const CHALLENGE_REASON_CHARS: usize = 280;
/// Environments that a catalog may name: production, its rehearsals and some regions. Each is a word of a plan's page.
pub const ENVIRONMENTS: usize = 16;
/// Units of work that one decision may cost: one for each step, constraint, list item, row or way to divide a text that
/// is looked at, and more where one of them takes longer: see the constants below. A unit takes some microsecond at
/// most. The dearest decision of the scenarios takes 27, a list of a thousand items that each are one of a hundred some
/// ten thousand.
pub const DECISION_WORK: u64 = 50_000;
/// Bytes of text that are looked at for one unit of work: each is checked for its character and its form, which takes
/// some nanoseconds.
pub const BYTES_PER_WORK: u64 = 32;
/// Bytes of values that are compared with each other, or copied, for one unit of work: a machine does either many bytes
/// at a time.
pub const COMPARED_BYTES_PER_WORK: u64 = 1024;
/// Entries of the past, of a list or of a step that are only walked over, for one unit of work: each is a place in
/// memory that is looked up, some tens of nanoseconds.
pub const ENTRIES_PER_WORK: u64 = 16;
/// States of a pattern that are followed over one byte of a value, for one unit of work: a step of the engine takes
/// some nanoseconds where the states of a pattern cannot be told apart beforehand.
pub const STATES_PER_WORK: u64 = 256;
/// States of a pattern that are compiled for one unit of work: making one takes a hundred times as long as following it.
pub const COMPILED_STATES_PER_WORK: u64 = 4;
/// Units of work that one comparison of two constraints, or of the arguments of two steps, may cost: one for each pair
/// of parts that is looked at, and what testing their values costs. A `one_of` of a hundred against another takes some
/// hundred; what takes more is no narrowing that somebody wrote by hand, and comparing is what a hop waits for.
pub const COMPARISON_WORK: u64 = 20_000;
/// Units of work that narrowing or comparing two envelopes may cost, all steps together: 25 of the dearest comparisons,
/// or 2,500 units for each of [`STEPS`]. An exchange takes half a second at most for it.
pub const ENVELOPE_WORK: u64 = 500_000;
/// Units of work that the comparisons of one submission with what is blocked may cost: each step against each entry of
/// the plan, the agent, the realm and the organisation comes to some ten thousand where they are plain.
pub const SUBMISSION_WORK: u64 = 200_000;
/// Units of work that looking for steps that another step makes redundant may cost; what is not looked at by then is
/// not reported. Each of [`STEPS`] against each other is 40,000 pairs, and each may cost 50 units: a person waits for a
/// second or two.
pub const LINT_WORK: u64 = 2_000_000;
/// Units of work that one difference of two envelopes may cost, examples included: without them it is told that there
/// is a difference, and not shown. Looking for an example tries [`WITNESS_TRIES`] calls against all steps; a person who
/// asks for it waits for some seconds at most.
pub const DIFF_WORK: u64 = 20_000_000;
/// Calls that are tried to show one difference of two plans by an example: enough for every pair of values of a step.
pub const WITNESS_TRIES: u64 = 4_000;
/// Values of one constraint that are tried to show a difference: its bounds, entries and shapes. The square of it is
/// what [`WITNESS_TRIES`] is enough for.
pub const SAMPLES: usize = 64;
/// Seconds that an intent may live from its submission: one working week of unattended work.
pub const LIFETIME_SECS: i64 = 7 * 24 * 3600;
/// Seconds that two clocks may differ.
pub const CLOCK_LEEWAY_SECS: i64 = 10;
/// Seconds that a DPoP proof is good for: longer only helps who copied it (RFC 9449 §11.1).
pub const PROOF_SECS: i64 = 60;
/// Bytes of a compact JWS that is looked at; a transaction token is at most a few kilobytes.
pub const JWS_BYTES: usize = 512 * 1024;
/// Bytes of a token's steps, in canonical form. More are kept by Marque under their digest, and the token carries that:
/// a header field of some eight kilobytes is what servers take.
pub const INLINE_STEPS_BYTES: usize = 4096;
/// Bytes of an envelope that is kept under its digest: what a token of [`JWS_BYTES`] could carry.
pub const ENVELOPE_BYTES: usize = JWS_BYTES / 4 * 3;
/// Largest integer that JSON carries exactly everywhere (RFC 7493 §2.2).
pub const INTEGER_MAX: i64 = 9_007_199_254_740_991;
/// Significant decimal digits of a fraction in a call: what a binary64 carries exactly both ways.
pub const FRACTION_DIGITS: usize = 15;
/// Decimal digits of an exact number, before and after the point together: what 96 bits always hold.
pub const DECIMAL_DIGITS: usize = 28;
/// Characters of a pattern: a longer one nobody reads.
pub const PATTERN_CHARS: usize = 256;
/// Bytes of a compiled pattern: bounds the memory of a policy and, since matching is linear in it, the work.
/// It is counted while compiling, so that the answer does not depend on how fast a machine is.
pub const PATTERN_BYTES: usize = 256 * 1024;
/// States of a pattern that is kept as it was compiled, once a value was matched against it. A larger one is compiled
/// each time: a plan of thousands of them would else hold thousands of times its own size.
pub const PATTERN_KEPT_STATES: u64 = 128;
/// Bytes of scratch memory that the engine of one pattern keeps.
pub const PATTERN_CACHE_BYTES: usize = 32 * 1024;
/// States of a pattern, counted before it is compiled: beyond these it is over [`PATTERN_BYTES`] in any case, since each
/// takes some bytes.
pub const PATTERN_STATES: u64 = PATTERN_BYTES as u64;
/// Patterns of a plan. Compiling is what costs most of reading one; an honest plan has one for some of its steps.
pub const PATTERNS: usize = 256;
/// Nesting of a pattern, where a group, its alternatives, their parts and a repetition are a level each:
/// some ten groups within each other.
pub const PATTERN_NEST: u32 = 40;
/// Times that a pattern's `{n}` may repeat: other linear-time engines take no more.
pub const PATTERN_REPEATS: u32 = 1000;
/// Characters of an arithmetic expression: two lines of a page.
pub const EXPR_CHARS: usize = 200;
/// Numbers, variables, operators and functions of an arithmetic expression: more than a person checks by hand.
pub const EXPR_NODES: usize = 64;
/// Parentheses within each other in an arithmetic expression: bounds the stack of whoever reads it.
pub const EXPR_DEPTH: usize = 16;

/// Whether a text can be an id that is used once (`jti`, `call_id`): printable ASCII, so that every store
/// takes it as it is, and not longer than [`IDENTIFIER_CHARS`].
pub fn is_single_use_id(id: &str) -> bool {
    (1..=IDENTIFIER_CHARS).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
}
