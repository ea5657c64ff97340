package dev.marque.keycloak.approval;

import java.util.Optional;

import dev.marque.keycloak.plan.Binary;
import dev.marque.keycloak.plan.Presented;
import org.keycloak.sessions.AuthenticationSessionModel;

/**
 * What one page showed, kept on the server between the page and its answer. An answer is judged by this alone, so a
 * plan that changes in the meantime, or another one, cannot be approved by it. Digests and nonce are base64url.
 */
record PendingApproval(Presented.Kind kind, String realmIssuer, String id, String userId, String digest,
                       DisplayRecord display, String nonce) {

    private static final String NOTE = "marque.pending";
    private static final String SEPARATOR = "\n";
    private static final int PARTS = 11;

    static PendingApproval of(Presented answer, String realmIssuer, String userId, String templateSha256) {
        return new PendingApproval(answer.kind(), realmIssuer, answer.id(), userId, Binary.encode(answer.digest()),
                DisplayRecord.of(answer, templateSha256), Binary.encode(answer.nonce()));
    }

    /** The challenge for the passkey, base64url; it also identifies the page. */
    String challenge() {
        return Binary.encode(ApprovalChallenge.of(kind.domain, realmIssuer, id, Binary.decode(digest),
                display.digest(), Binary.decode(nonce)));
    }

    /** Remembers this page; an older one of the same tab can no longer be answered. */
    void store(AuthenticationSessionModel authSession) {
        authSession.setAuthNote(NOTE, String.join(SEPARATOR, kind.name(), realmIssuer, id, userId, digest,
                display.renderer(), display.templateSha256(), display.catalogSha256(), display.locale(),
                display.linesSha256(), nonce));
    }

    /** Reads and removes what was remembered: a page can be answered once. */
    static Optional<PendingApproval> take(AuthenticationSessionModel authSession) {
        String note = authSession.getAuthNote(NOTE);
        authSession.removeAuthNote(NOTE);
        String[] part = note == null ? new String[0] : note.split(SEPARATOR, -1);
        if (part.length != PARTS) {
            return Optional.empty();
        }
        DisplayRecord display = new DisplayRecord(part[5], part[6], part[7], part[8], part[9]);
        return Optional.of(new PendingApproval(Presented.Kind.valueOf(part[0]), part[1], part[2], part[3], part[4],
                display, part[10]));
    }
}
