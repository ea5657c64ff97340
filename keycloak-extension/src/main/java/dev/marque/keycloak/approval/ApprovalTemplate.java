package dev.marque.keycloak.approval;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;

import dev.marque.keycloak.plan.Binary;

/** The page's template as packed in this jar. */
final class ApprovalTemplate {

    static final String NAME = "marque-plan-approval.ftl";
    private static final String PATH = "/theme-resources/templates/" + NAME;

    private ApprovalTemplate() {
    }

    /** SHA-256 of the template's bytes, base64url. */
    static String sha256() {
        try (InputStream in = ApprovalTemplate.class.getResourceAsStream(PATH)) {
            if (in == null) {
                throw new IllegalStateException("the jar lacks " + PATH);
            }
            return Binary.encode(Binary.sha256(in.readAllBytes()));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
