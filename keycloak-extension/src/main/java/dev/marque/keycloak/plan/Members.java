package dev.marque.keycloak.plan;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;

import com.fasterxml.jackson.databind.JsonNode;

/** The members of one JSON object, read by name and type; a missing or mistyped one is refused by name. */
final class Members {

    private final JsonNode object;
    private final String what;

    private Members(JsonNode object, String what) {
        this.object = object;
        this.what = what;
    }

    static Members of(JsonNode node, String what) throws PlanRefused {
        if (node == null || !node.isObject()) {
            throw new PlanRefused(what + " is not an object");
        }
        return new Members(node, what);
    }

    /** Refuses an object with a member that is not named here. */
    Members only(String... allowed) throws PlanRefused {
        Set<String> known = Set.of(allowed);
        for (String name : CanonicalJson.names(object)) {
            if (!known.contains(name)) {
                throw new PlanRefused(what + " has an unknown member " + CanonicalJson.string(name));
            }
        }
        return this;
    }

    boolean has(String name) {
        return object.has(name);
    }

    JsonNode value(String name) throws PlanRefused {
        JsonNode value = object.get(name);
        if (value == null) {
            throw new PlanRefused(what + " has no " + name);
        }
        return value;
    }

    /** A text of at least one character. */
    String text(String name) throws PlanRefused {
        JsonNode value = value(name);
        if (!value.isTextual() || value.textValue().isEmpty()) {
            throw new PlanRefused(what + "." + name + " is not a text");
        }
        return value.textValue();
    }

    /** A text, which may be empty. */
    String anyText(String name) throws PlanRefused {
        JsonNode value = value(name);
        if (!value.isTextual()) {
            throw new PlanRefused(what + "." + name + " is not a text");
        }
        return value.textValue();
    }

    /** A text that names something: not empty, and short. */
    String identifier(String name) throws PlanRefused {
        return Forms.identifier(text(name), what + "." + name);
    }

    long integer(String name, long least, long most) throws PlanRefused {
        long value = integer(name, least);
        if (value > most) {
            throw new PlanRefused(what + "." + name + " is more than " + most);
        }
        return value;
    }

    long integer(String name, long least) throws PlanRefused {
        JsonNode value = value(name);
        if (!value.isIntegralNumber() || !value.canConvertToLong() || value.longValue() < least) {
            throw new PlanRefused(what + "." + name + " is not an integer of at least " + least);
        }
        return value.longValue();
    }

    boolean flag(String name) throws PlanRefused {
        JsonNode value = value(name);
        if (!value.isBoolean()) {
            throw new PlanRefused(what + "." + name + " is not a boolean");
        }
        return value.booleanValue();
    }

    /** A boolean that is false where it is absent. */
    boolean isSet(String name) throws PlanRefused {
        return has(name) && flag(name);
    }

    Members object(String name) throws PlanRefused {
        return of(value(name), what + "." + name);
    }

    /** Who holds tokens: the client's id, of one that proves either a key or a certificate. */
    String holder(String name) throws PlanRefused {
        Members holder = object(name).only("client_id", "jkt", "x5t#S256");
        if (holder.has("jkt") == holder.has("x5t#S256")) {
            throw new PlanRefused(holder.what + " has either jkt or x5t#S256");
        }
        holder.text(holder.has("jkt") ? "jkt" : "x5t#S256");
        return holder.identifier("client_id");
    }

    /** The elements of an array with at least one element. */
    List<JsonNode> list(String name) throws PlanRefused {
        List<JsonNode> elements = elements(name);
        if (elements.isEmpty()) {
            throw new PlanRefused(what + "." + name + " is not a list with elements");
        }
        return elements;
    }

    /** The elements of an array, if it has any. */
    List<JsonNode> elements(String name) throws PlanRefused {
        JsonNode value = value(name);
        if (!value.isArray()) {
            throw new PlanRefused(what + "." + name + " is not a list");
        }
        List<JsonNode> elements = new ArrayList<>();
        value.forEach(elements::add);
        return elements;
    }

    List<String> texts(String name) throws PlanRefused {
        List<String> texts = new ArrayList<>();
        for (JsonNode element : list(name)) {
            if (!element.isTextual() || element.textValue().isEmpty()) {
                throw new PlanRefused(what + "." + name + " holds something other than texts");
            }
            texts.add(element.textValue());
        }
        return texts;
    }

    /** Texts of which none is listed twice. */
    List<String> distinctTexts(String name) throws PlanRefused {
        List<String> texts = texts(name);
        if (Set.copyOf(texts).size() != texts.size()) {
            throw new PlanRefused(what + "." + name + " lists something twice");
        }
        return texts;
    }

    /** Bytes written as base64url without padding. */
    byte[] bytes(String name) throws PlanRefused {
        try {
            return Binary.decode(text(name));
        } catch (IllegalArgumentException e) {
            throw new PlanRefused(what + "." + name + " is not base64url");
        }
    }

    /** Refuses any value but these. */
    void oneOf(String name, Set<String> known) throws PlanRefused {
        if (!known.contains(text(name))) {
            throw new PlanRefused(what + "." + name + " has an unknown value");
        }
    }

    /** Refuses any value but this one. */
    void require(String name, String expected) throws PlanRefused {
        if (!expected.equals(text(name))) {
            throw new PlanRefused(what + "." + name + " is not the expected one");
        }
    }

    List<String> names() {
        return CanonicalJson.names(object);
    }
}
