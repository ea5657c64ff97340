package dev.marque.keycloak.plan;

/** Sizes of the plan language. Each is the server's own, which says why it is so; the page refuses what is beyond. */
final class LanguageLimits {

    /** Bytes of a resolved plan: as much as an evidence file may hold. */
    static final int PLAN_BYTES = 2 * 1024 * 1024;
    /** Bytes of a catalog's payload. */
    static final int CATALOG_BYTES = 256 * 1024;
    /** Nesting of JSON. */
    static final int JSON_DEPTH = 32;
    /** Values in one JSON document. */
    static final int JSON_VALUES = 20_000;
    /** Steps of a plan. */
    static final int STEPS = 200;
    /** Characters of an identifier; bytes of a JSON pointer. */
    static final int IDENTIFIER = 512;
    /** Characters of the purpose. */
    static final int PURPOSE_CHARS = 280;
    /** Alternatives of a {@code one_of}, and domains of a {@code domain}. */
    static final int ALTERNATIVES = 100;
    /** Characters of one value as it is shown, and of a template. */
    static final int VALUE_CHARS = 1024;
    /** Arguments of a step, or members of an object. */
    static final int ARGUMENTS = 64;
    /** Clients that may be named as delegates. */
    static final int DELEGATES = 16;
    /** Times a counted step may be used. */
    static final long USES = 10_000;
    /** Hops that a plan may allow. */
    static final long HOPS = 8;
    /** Characters that a {@code text} may allow. */
    static final long TEXT_CHARS = 20_000;
    /** Levels of constraints within constraints. */
    static final int CONSTRAINT_DEPTH = 8;
    /** Parts that one argument's constraint may have in all. */
    static final int CONSTRAINT_PARTS = 256;
    /** Parts of an {@code all}, an {@code either}, a row's predicate or a template. */
    static final int BRANCHES = 16;
    /** Items that an {@code items} may allow. */
    static final long ITEMS = 1_000;
    /** Budgets of a plan. */
    static final int BUDGETS = 16;
    /** Turns that a plan may allow. */
    static final long TURNS = 10_000;
    /** Step-ups that a plan may ask for. */
    static final long STEP_UPS = 20;
    /** Environments that a catalog may name. */
    static final int ENVIRONMENTS = 16;
    /** Largest integer that JSON carries exactly everywhere (RFC 7493 section 2.2). */
    static final long INTEGER = (1L << 53) - 1;
    /** Digits of a decimal number. */
    static final int DECIMAL_DIGITS = 28;
    /** Characters of a pattern. */
    static final int PATTERN_CHARS = 256;
    /** Characters of an arithmetic expression. */
    static final int EXPRESSION_CHARS = 200;

    private LanguageLimits() {
    }
}
