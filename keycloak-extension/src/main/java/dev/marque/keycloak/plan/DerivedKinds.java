package dev.marque.keycloak.plan;

import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The kinds that are filled in, computed or looked up. */
final class DerivedKinds {

    private static final Pattern EXPRESSION = Pattern.compile("[a-z0-9_+\\-*/(),. ]+");
    private static final Pattern NAME = Pattern.compile("[a-z][a-z0-9_]*");
    private static final Set<String> FUNCTIONS = Set.of("round", "min", "max");

    private final ConstraintReader reader;

    DerivedKinds(ConstraintReader reader) {
        this.reader = reader;
    }

    Constraint read(String kind, Members members) throws PlanRefused {
        return switch (kind) {
            case "fmt" -> template(members.object(kind).only("template", "slots"));
            case "compute" -> computed(members.object(kind).only("expr", "vars"));
            case "rel" -> change(members.object(kind).only("base", "min", "max"));
            default -> record(members.object(kind).only("collection", "where"));
        };
    }

    private Constraint template(Members rule) throws PlanRefused {
        String template = rule.anyText("template");
        Map<String, Constraint> slots = reader.named(rule.object("slots"));
        if (Forms.chars(template) > LanguageLimits.VALUE_CHARS || slots.size() > LanguageLimits.BRANCHES) {
            throw new PlanRefused("a template that is too long, or with more slots than anybody keeps apart");
        }
        checkSlots(template, slots.keySet());
        String phrase = "the text " + CanonicalJson.string(template) + ConstraintReader.given(slots);
        return Constraint.of("fmt", phrase, slots.values(), Constraint.Trait.COMPUTED);
    }

    /** Each slot stands in the template once, and two never touch: where one ends would not be clear. */
    private static void checkSlots(String template, Set<String> slots) throws PlanRefused {
        Set<String> named = new HashSet<>();
        int from = 0;
        int open = template.indexOf('{');
        while (open >= 0 && template.indexOf('}', open) >= 0) {
            int close = template.indexOf('}', open);
            String literal = template.substring(from, open);
            String name = template.substring(open + 1, close);
            boolean touches = literal.isEmpty() && !named.isEmpty();
            if (touches || literal.contains("}") || !slots.contains(name) || !named.add(name)) {
                throw new PlanRefused("a template with slots that touch, or are named twice or not at all");
            }
            from = close + 1;
            open = template.indexOf('{', from);
        }
        String rest = template.substring(from);
        if (rest.contains("{") || rest.contains("}") || named.size() != slots.size()) {
            throw new PlanRefused("a template with a stray brace, or without one of the slots");
        }
    }

    private Constraint computed(Members rule) throws PlanRefused {
        String expression = rule.text("expr");
        Map<String, Constraint> variables = reader.named(rule.object("vars"));
        if (Forms.chars(expression) > LanguageLimits.EXPRESSION_CHARS || !EXPRESSION.matcher(expression).matches()
                || !names(expression).equals(variables.keySet())) {
            throw new PlanRefused("no expression of exactly the variables");
        }
        for (Constraint variable : variables.values()) {
            oneValue(variable);
        }
        String phrase = "the number that " + CanonicalJson.string(expression) + " gives"
                + ConstraintReader.given(variables);
        return Constraint.of("compute", phrase, variables.values(), Constraint.Trait.COMPUTED);
    }

    private static Set<String> names(String expression) {
        Set<String> names = new HashSet<>();
        Matcher name = NAME.matcher(expression);
        while (name.find()) {
            names.add(name.group());
        }
        names.removeAll(FUNCTIONS);
        return names;
    }

    private Constraint change(Members rule) throws PlanRefused {
        Constraint base = oneValue(reader.read(rule.value("base"), "rel.base"));
        String min = Forms.decimal(rule.text("min"), "rel.min");
        String max = Forms.decimal(rule.text("max"), "rel.max");
        Forms.ascending(min, max, "rel");
        return Constraint.of("rel", "(" + base.phrase() + ") changed by " + min + " to " + max, List.of(base),
                Constraint.Trait.COMPUTED);
    }

    private static Constraint oneValue(Constraint constraint) throws PlanRefused {
        if (!constraint.givesOneValue()) {
            throw new PlanRefused("a " + constraint.kind() + " gives no single value to compute with");
        }
        return constraint;
    }

    private Constraint record(Members rule) throws PlanRefused {
        String collection = CanonicalJson.string(rule.identifier("collection"));
        Map<String, Constraint> attributes = reader.row(rule.object("where"));
        if (attributes.isEmpty()) {
            throw new PlanRefused("attr names no attribute");
        }
        String phrase = "the id of a record of " + collection + ConstraintReader.given(attributes);
        return Constraint.of("attr", phrase, attributes.values(), Constraint.Trait.LOOKED_UP);
    }
}
