package dev.marque.keycloak.plan;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

import com.fasterxml.jackson.databind.JsonNode;

/**
 * The document of a step-up: one call with its exact values, and the lines that a person reads for it. Specified by
 * {@code vectors/step-up}. Values are JSON texts that Marque wrote without anything that hides.
 *
 * @param resourceId JSON text
 * @param resourceSources where the resource's id came from
 * @param args JSON texts by name
 * @param sources where a value came from, by the argument's name
 * @param records what the resource server says of the records that the decision read, one line each
 * @param catalog absent where the plan has none for the location, and the call cannot be explained
 */
record StepUpDocument(byte[] canonical, String issuer, String id, byte[] planDigest, String userIssuer, String sub,
                      String username, String presenter, String step, ActionClass actionClass, String location,
                      String action, String resourceType, String resourceId, List<String> resourceSources,
                      Map<String, String> args, Map<String, List<String>> sources, List<String> records, String reason,
                      Optional<CatalogName> catalog, String expiresAt) {

    /** Names this way of rendering in the display record. */
    static final String RENDERER = "marque-step-up-lines/1";
    private static final int DIGEST_BYTES = 32;

    /** A catalog as a document names it. */
    private record CatalogName(String location, long version, byte[] sha256) {

        static CatalogName of(Members catalog) throws PlanRefused {
            catalog.only("location", "version", "sha256");
            return new CatalogName(catalog.text("location"), catalog.integer("version", 1), digest(catalog, "sha256"));
        }

        boolean isOf(Catalog other) {
            return other.location().equals(location) && other.version() == version
                    && Arrays.equals(other.digest(), sha256);
        }
    }

    /**
     * Parses the canonical bytes.
     *
     * @throws PlanRefused if the bytes are not RFC 8785 canonical JSON or hold anything this version cannot show
     */
    static StepUpDocument of(byte[] canonical) throws PlanRefused {
        JsonNode node = StrictJson.signed(canonical, LanguageLimits.PLAN_BYTES, "the document");
        if (!Arrays.equals(CanonicalJson.of(node).getBytes(StandardCharsets.UTF_8), canonical)) {
            throw new PlanRefused("the document is not canonical JSON");
        }
        Members document = Members.of(node, "document").only("version", "issuer", "step_up_id", "intent_id",
                "plan_digest", "user", "presenter", "step", "class", "location", "action", "resource", "args", "records",
                "approval", "reason", "catalog", "expires_at");
        if (document.integer("version", 1) != 1) {
            throw new PlanRefused("a document of a later version");
        }
        document.text("intent_id");
        digest(document, "approval");
        Members user = document.object("user").only("iss", "sub", "username");
        Members resource = document.object("resource").only("type", "id", "sources");
        Optional<CatalogName> catalog = document.has("catalog")
                ? Optional.of(CatalogName.of(document.object("catalog"))) : Optional.empty();
        Map<String, String> args = new LinkedHashMap<>();
        Map<String, List<String>> sources = new LinkedHashMap<>();
        readArguments(document.value("args"), args, sources);
        return new StepUpDocument(canonical, document.text("issuer"), document.text("step_up_id"),
                digest(document, "plan_digest"), user.text("iss"), user.text("sub"), user.text("username"),
                document.holder("presenter"), document.identifier("step"), ActionClass.of(document.text("class")),
                document.identifier("location"), document.identifier("action"), resource.identifier("type"),
                json(resource, "id"), places(resource), args, sources, records(document), reason(document), catalog,
                Forms.instant(document.text("expires_at"), "expires_at"));
    }

    byte[] digest() {
        return Binary.sha256(canonical);
    }

    /**
     * What the person reads.
     *
     * @throws PlanRefused if the catalog is not the document's, or does not describe the call so
     */
    List<DisplayLine> render(Optional<Catalog> given) throws PlanRefused {
        CatalogAction described = described(given);
        List<DisplayLine> lines = new ArrayList<>();
        add(lines, presenter + " asks " + username + " to approve one call.", false);
        add(lines, "It is a use of step " + CanonicalJson.string(step) + " of the plan " + PlanWords.of(planDigest)
                + ".", false);
        add(lines, "The resource server says (not checked): " + CanonicalJson.string(reason), false);
        add(lines, "Good for this one call, once, until " + expiresAt + ".", false);
        String badge = actionClass.badge() + (described.irreversible() ? " (IRREVERSIBLE)" : "");
        add(lines, badge + ": " + described.template().sentence(resourceId, args), described.irreversible());
        add(lines, "   " + action + " on " + resourceType + " " + resourceId + " at " + location, false);
        addSources(lines, resourceSources);
        for (Map.Entry<String, String> each : args.entrySet()) {
            add(lines, "   " + each.getKey() + ": " + each.getValue(), false);
            List<String> from = sources.get(each.getKey());
            if (from.isEmpty()) {
                add(lines, "      chosen by the agent, within the plan", false);
            }
            addSources(lines, from);
        }
        for (String stated : records) {
            add(lines, "   " + stated, false);
            add(lines, "      stated by the resource server", false);
        }
        return List.copyOf(lines);
    }

    private CatalogAction described(Optional<Catalog> given) throws PlanRefused {
        boolean isTheOne = given.isPresent() == catalog.isPresent() && given.stream()
                .allMatch(each -> catalog.get().isOf(each) && each.location().equals(location));
        CatalogAction described = given.map(each -> each.actions().get(action)).orElse(null);
        if (described == null) {
            described = CatalogAction.unexplained(resourceType, args.keySet());
        }
        if (!isTheOne || described.actionClass() != actionClass
                || !described.resourceType().equals(resourceType)) {
            throw new PlanRefused("the catalog is not the document's, or does not describe the call so");
        }
        return described;
    }

    private static void readArguments(JsonNode list, Map<String, String> args, Map<String, List<String>> sources)
            throws PlanRefused {
        if (!list.isArray()) {
            throw new PlanRefused("the document's args are no list");
        }
        for (JsonNode node : list) {
            Members argument = Members.of(node, "argument").only("name", "value", "sources");
            String name = argument.identifier("name");
            if (args.putIfAbsent(name, json(argument, "value")) != null) {
                throw new PlanRefused("the document names an argument twice");
            }
            sources.put(name, places(argument));
        }
    }

    private static List<String> records(Members document) throws PlanRefused {
        List<String> lines = new ArrayList<>();
        Set<String> known = new HashSet<>();
        for (JsonNode node : document.has("records") ? document.list("records") : List.<JsonNode>of()) {
            Members row = Members.of(node, "record").only("collection", "id", "value");
            String name = "record " + json(row, "id") + " of " + row.identifier("collection");
            if (!known.add(name)) {
                throw new PlanRefused("the document names a record twice");
            }
            lines.add(name + ": " + json(row, "value"));
        }
        return lines;
    }

    private static List<String> places(Members value) throws PlanRefused {
        List<String> places = new ArrayList<>();
        Set<String> known = new HashSet<>();
        for (JsonNode node : value.has("sources") ? value.list("sources") : List.<JsonNode>of()) {
            Members source = Members.of(node, "source").only("step", "action", "location");
            String place = "step " + CanonicalJson.string(source.identifier("step")) + " ("
                    + source.identifier("action") + " at " + source.identifier("location") + ")";
            if (!known.add(place)) {
                throw new PlanRefused("the document names a source twice");
            }
            places.add(place);
        }
        return places;
    }

    /** A JSON text: shown as it stands, if it is one. */
    private static String json(Members members, String name) throws PlanRefused {
        String text = members.text(name);
        StrictJson.value(text.getBytes(StandardCharsets.UTF_8), "a value of the document");
        return text;
    }

    private static String reason(Members document) throws PlanRefused {
        String reason = document.text("reason");
        if (Forms.chars(reason) > LanguageLimits.PURPOSE_CHARS) {
            throw new PlanRefused("a reason that is too long");
        }
        return reason;
    }

    private static byte[] digest(Members members, String name) throws PlanRefused {
        byte[] digest = members.bytes(name);
        if (digest.length != DIGEST_BYTES) {
            throw new PlanRefused(name + " is no SHA-256 value");
        }
        return digest;
    }

    private static void addSources(List<DisplayLine> lines, List<String> sources) throws PlanRefused {
        for (String source : sources) {
            add(lines, "      FROM " + source, true);
        }
    }

    private static void add(List<DisplayLine> lines, String text, boolean danger) throws PlanRefused {
        if (HiddenCharacters.in(text)) {
            throw new PlanRefused("a line holds a character that cannot be seen");
        }
        lines.add(new DisplayLine(text, danger));
    }
}
