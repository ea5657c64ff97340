package dev.marque.keycloak.approval;

import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.marque.keycloak.plan.Binary;
import dev.marque.keycloak.plan.CanonicalJson;
import dev.marque.keycloak.plan.DisplayLines;
import dev.marque.keycloak.plan.PlanRefused;
import dev.marque.keycloak.plan.Presented;

/**
 * How a plan was displayed; the digests are base64url.
 *
 * @param renderer the name of the rendering
 * @param templateSha256 of the page template's bytes as packed in this jar
 * @param catalogSha256 of the catalogs' digests in the plan's order
 * @param locale of the lines
 * @param linesSha256 of the lines in UTF-8, each followed by a line feed
 */
record DisplayRecord(String renderer, String templateSha256, String catalogSha256, String locale, String linesSha256) {

    static DisplayRecord of(Presented answer, String templateSha256) {
        return new DisplayRecord(answer.kind().renderer, templateSha256, Binary.encode(answer.catalogDigest()),
                DisplayLines.LOCALE, Binary.encode(DisplayLines.digest(answer.lines())));
    }

    /** The record as it appears in the evidence. */
    Map<String, String> members() {
        Map<String, String> members = new LinkedHashMap<>();
        members.put("renderer", renderer);
        members.put("template_sha256", templateSha256);
        members.put("catalog_sha256", catalogSha256);
        members.put("locale", locale);
        members.put("lines_sha256", linesSha256);
        return members;
    }

    /** SHA-256 of the record in canonical JSON. */
    byte[] digest() {
        ObjectNode object = JsonNodeFactory.instance.objectNode();
        members().forEach(object::put);
        try {
            return Binary.sha256(CanonicalJson.of(object).getBytes(StandardCharsets.UTF_8));
        } catch (PlanRefused e) {
            throw new IllegalStateException("texts of this class are always canonical", e);
        }
    }
}
