package dev.marque.keycloak.plan;

import java.util.ArrayList;
import java.util.List;

import com.fasterxml.jackson.databind.JsonNode;

/** The kinds that the value alone decides. */
final class ValueKinds {

    private ValueKinds() {
    }

    static Constraint read(String kind, Members members) throws PlanRefused {
        return switch (kind) {
            case "const" -> Constraint.of(kind, value(members.value(kind)));
            case "one_of" -> Constraint.of(kind, "one of " + values(members.list(kind)));
            case "text" -> Constraint.of(kind, text(members.object(kind).only("max", "urls")));
            case "pattern" -> Constraint.of(kind, pattern(members.anyText(kind)));
            case "num" -> Constraint.of(kind, number(members.object(kind).only("min", "max")));
            case "amount" -> Constraint.of(kind, amount(members.object(kind).only("min", "max", "currency")));
            case "time_window" -> Constraint.of(kind, "a time " + window(members.object(kind)));
            case "domain" -> Constraint.of(kind, domain(members.object(kind).only("any_of", "subdomains")));
            case "prefix" -> Constraint.of(kind, prefix(members.text(kind)));
            default -> any(kind, members);
        };
    }

    /** When something may be done: at least one of two instants. */
    static String window(Members window) throws PlanRefused {
        window.only("from", "to");
        String from = window.has("from") ? Forms.instant(window.text("from"), "from") : null;
        String to = window.has("to") ? Forms.instant(window.text("to"), "to") : null;
        if (from == null && to == null || from != null && to != null && from.compareTo(to) > 0) {
            throw new PlanRefused("a window without an instant, or one that ends before it begins");
        }
        if (from == null) {
            return "up to " + to;
        }
        return "from " + from + (to == null ? " on" : " to " + to);
    }

    private static String value(JsonNode value) throws PlanRefused {
        String text = CanonicalJson.of(value);
        if (Forms.chars(text) > LanguageLimits.VALUE_CHARS) {
            throw new PlanRefused("a value that is too long to be read");
        }
        return text;
    }

    private static String values(List<JsonNode> values) throws PlanRefused {
        if (values.size() > LanguageLimits.ALTERNATIVES) {
            throw new PlanRefused("more alternatives than anybody compares");
        }
        List<String> texts = new ArrayList<>();
        for (JsonNode value : values) {
            texts.add(value(value));
        }
        return String.join(", ", texts);
    }

    private static String text(Members text) throws PlanRefused {
        String links = text.isSet("urls") ? "links allowed" : "without links";
        return "any text up to " + text.integer("max", 0, LanguageLimits.TEXT_CHARS) + " characters, " + links;
    }

    private static String pattern(String pattern) throws PlanRefused {
        if (pattern.isEmpty() || Forms.chars(pattern) > LanguageLimits.PATTERN_CHARS) {
            throw new PlanRefused("a pattern that is empty or too long to be read");
        }
        return "text that matches the pattern " + CanonicalJson.string(pattern);
    }

    private static String number(Members range) throws PlanRefused {
        String min = range.has("min") ? Forms.decimal(range.text("min"), "min") : null;
        String max = range.has("max") ? Forms.decimal(range.text("max"), "max") : null;
        if (min != null && max != null) {
            Forms.ascending(min, max, "num");
            return "a number from " + min + " to " + max;
        }
        if (min == null && max == null) {
            throw new PlanRefused("num needs min or max");
        }
        return min != null ? "a number of at least " + min : "a number of at most " + max;
    }

    private static String amount(Members range) throws PlanRefused {
        String min = range.has("min") ? Forms.decimal(range.text("min"), "min") : "0";
        String max = Forms.decimal(range.text("max"), "max");
        Forms.ascending(min, max, "amount");
        return "an amount from " + min + " to " + max + " " + Forms.currency(range.text("currency"), "currency");
    }

    private static String domain(Members rule) throws PlanRefused {
        List<String> hosts = rule.texts("any_of");
        if (hosts.size() > LanguageLimits.ALTERNATIVES) {
            throw new PlanRefused("more domains than anybody compares");
        }
        for (String host : hosts) {
            Forms.host(host, "domain");
        }
        String below = rule.isSet("subdomains") ? ", with subdomains" : ", without subdomains";
        return "an e-mail address or host name in " + String.join(", ", hosts) + below;
    }

    private static String prefix(String prefix) throws PlanRefused {
        return "a path under " + CanonicalJson.string(Forms.prefix(prefix, "prefix"));
    }

    private static Constraint any(String kind, Members members) throws PlanRefused {
        if (!members.flag(kind)) {
            throw new PlanRefused("any means something only if it is true");
        }
        return Constraint.of(kind, "ANYTHING (UNBOUNDED)", Constraint.Trait.UNBOUNDED);
    }
}
