package dev.marque.keycloak.plan;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** A resource server's own description of its actions. Its digest is over the payload octets as signed. */
record Catalog(String clientId, long version, String location, byte[] digest, Set<String> environments,
               Map<String, CatalogAction> actions) {

    static Catalog of(byte[] payload) throws PlanRefused {
        Members catalog = Members.of(StrictJson.signed(payload, LanguageLimits.CATALOG_BYTES, "a catalog"), "catalog")
                .only("iss", "version", "location", "environments", "collections", "actions");
        checkCollections(catalog);
        Members members = catalog.object("actions");
        Map<String, CatalogAction> actions = new HashMap<>();
        for (String name : members.names()) {
            actions.put(Forms.identifier(name, "the name of an action"),
                    CatalogAction.of(members.value(name), "action " + name));
        }
        for (CatalogAction action : actions.values()) {
            for (CatalogAction.Prerequisite required : action.requires()) {
                check(required, actions.get(required.action()));
            }
        }
        return new Catalog(catalog.text("iss"), catalog.integer("version", 1), catalog.identifier("location"),
                Binary.sha256(payload), environments(catalog), Map.copyOf(actions));
    }

    private static Set<String> environments(Members catalog) throws PlanRefused {
        List<String> words = catalog.has("environments") ? catalog.distinctTexts("environments") : List.of();
        if (words.size() > LanguageLimits.ENVIRONMENTS) {
            throw new PlanRefused("a catalog with too many environments");
        }
        for (String word : words) {
            Forms.identifier(word, "an environment");
        }
        return Set.copyOf(words);
    }

    /** Who writes the records that predicates look at. It decides what the plan asks about, and no line says it. */
    private static void checkCollections(Members catalog) throws PlanRefused {
        if (!catalog.has("collections")) {
            return;
        }
        Members collections = catalog.object("collections");
        for (String name : collections.names()) {
            Forms.identifier(name, "the name of a collection");
            collections.object(name).only("source").oneOf("source", CatalogAction.SOURCES);
        }
    }

    /** What a catalog requires is a read that the same catalog describes. */
    private static void check(CatalogAction.Prerequisite required, CatalogAction read) throws PlanRefused {
        if (read == null || read.actionClass() != ActionClass.READ
                || !read.resourceType().equals(required.resourceType())
                || !read.args().keySet().containsAll(required.args())) {
            throw new PlanRefused("a catalog requires something that is no read of its own");
        }
    }
}
