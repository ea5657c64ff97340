package dev.marque.keycloak.plan;

import java.util.Map;

import com.fasterxml.jackson.databind.JsonNode;

/** The kinds that take something from an earlier step. */
final class LateKinds {

    private static final Map<String, String> WORDS = Map.of("email", "an e-mail address", "host", "a host name",
            "number", "a number", "date", "a date", "iban", "an account number (IBAN)", "word", "a word");

    private final ConstraintReader reader;
    private final KnownSteps earlier;

    LateKinds(ConstraintReader reader, KnownSteps earlier) {
        this.reader = reader;
        this.earlier = earlier;
    }

    Constraint read(String kind, Members members) throws PlanRefused {
        Members rule = members.object(kind);
        if (kind.equals("ref")) {
            return reference(rule.only("step", "field", "where", "reduce"));
        }
        String phrase = switch (kind) {
            case "ref_set" -> set(rule.only("step", "field"));
            case "same_as" ->
                "the same as " + earlier.argument(rule.only("step", "arg").text("step"), rule.text("arg"));
            case "extract" -> word(rule.only("step", "type"));
            default -> "a passage of the text of " + earlier.aResult(rule.only("step").text("step"));
        };
        return Constraint.of(kind, phrase, Constraint.Trait.LATE);
    }

    private String word(Members rule) throws PlanRefused {
        String word = WORDS.get(rule.text("type"));
        if (word == null) {
            throw new PlanRefused("an unknown type of word");
        }
        return word + " found in the text of " + earlier.aResult(rule.text("step"));
    }

    private String set(Members rule) throws PlanRefused {
        Field field = Field.of(rule.anyText("field"), "ref_set.field");
        if (!field.isColumn()) {
            throw new PlanRefused("ref_set.field is not a column");
        }
        return "a list of exactly the values of " + CanonicalJson.string(field.text()) + " in "
                + earlier.allResults(rule.text("step"));
    }

    private Constraint reference(Members rule) throws PlanRefused {
        Field field = Field.of(rule.anyText("field"), "ref.field");
        String step = rule.text("step");
        if (field.isColumn() != rule.has("reduce") || rule.has("where") && !rule.has("reduce")) {
            throw new PlanRefused("ref needs a column with reduce, or a field without reduce and where");
        }
        if (!field.isColumn()) {
            String which = field.text().isEmpty() ? "the whole of " : value(field) + " in ";
            return Constraint.of("ref", which + earlier.aResult(step), Constraint.Trait.LATE);
        }
        Map<String, Constraint> row = rule.has("where") ? reader.row(rule.object("where")) : Map.of();
        String rows = ConstraintReader.given(row);
        String phrase = reduced(field, rule.value("reduce"), rows) + " in " + earlier.allResults(step);
        return Constraint.of("ref", phrase, row.values(), Constraint.Trait.LATE);
    }

    private static String reduced(Field field, JsonNode reduce, String rows) throws PlanRefused {
        if (reduce.isObject()) {
            return value(field) + " in the row with the " + extreme(Members.of(reduce, "reduce"))
                    + (rows.isEmpty() ? "" : " among those" + rows);
        }
        return switch (reduce.asText()) {
            case "lookup" -> value(field) + " in the only row" + rows;
            case "first" -> value(field) + " in the first row" + rows;
            case "last" -> value(field) + " in the last row" + rows;
            case "count" -> "the number of rows of " + CanonicalJson.string(field.list()) + rows;
            case "sum" -> "the sum of " + CanonicalJson.string(field.text()) + " over all rows" + rows;
            default -> throw new PlanRefused("an unknown way to reduce a column");
        };
    }

    private static String extreme(Members reduce) throws PlanRefused {
        if (reduce.only("argmax", "argmin").names().size() != 1) {
            throw new PlanRefused("an unknown way to reduce a column");
        }
        String name = reduce.names().get(0);
        String key = CanonicalJson.string(Forms.pointer(reduce.anyText(name), "reduce." + name));
        return (name.equals("argmax") ? "greatest " : "least ") + key;
    }

    private static String value(Field field) throws PlanRefused {
        return "the value of " + CanonicalJson.string(field.text());
    }
}
