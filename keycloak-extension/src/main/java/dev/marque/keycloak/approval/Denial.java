package dev.marque.keycloak.approval;

import dev.marque.keycloak.plan.HiddenCharacters;
import jakarta.ws.rs.core.MultivaluedMap;

/** A person's answer "no", with the text they may have added. */
final class Denial {

    static final String FIELD = "deny";
    static final String REASON_FIELD = "reason";
    /** The page that is denied, named by its challenge. */
    static final String PAGE_FIELD = "page";
    /** The longest reason, in Unicode code points. */
    static final int LONGEST_REASON = 280;

    private Denial() {
    }

    /** Whether the form says no. */
    static boolean isIn(MultivaluedMap<String, String> form) {
        return form.containsKey(FIELD);
    }

    /** Whether the form is of this page and its reason can be passed on as it is. */
    static boolean isWellFormed(MultivaluedMap<String, String> form, String challenge) {
        String reason = form.getFirst(REASON_FIELD);
        boolean fits = reason == null
                || reason.codePointCount(0, reason.length()) <= LONGEST_REASON && !HiddenCharacters.in(reason);
        return fits && challenge.equals(form.getFirst(PAGE_FIELD));
    }

    /** The person's text, or null. */
    static String reason(MultivaluedMap<String, String> form) {
        String reason = form.getFirst(REASON_FIELD);
        return reason == null || reason.isBlank() ? null : reason;
    }
}
