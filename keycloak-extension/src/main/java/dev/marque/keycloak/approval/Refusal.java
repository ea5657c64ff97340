package dev.marque.keycloak.approval;

/** An end of the ceremony that the client is told about, as {@code access_denied} with this code as description. */
enum Refusal {
    WRONG_USER("wrong_user"),
    NO_PASSKEY("no_passkey"),
    SESSION_ENDED("session_ended"),
    PLAN_GONE("plan_gone");

    final String code;

    Refusal(String code) {
        this.code = code;
    }

    /** Carries a refusal out of the making of a page. */
    static final class Refused extends Exception {

        private static final long serialVersionUID = 1L;
        final Refusal refusal;

        Refused(Refusal refusal) {
            super(refusal.code);
            this.refusal = refusal;
        }
    }
}
