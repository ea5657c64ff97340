package dev.marque.keycloak.plan;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.UnaryOperator;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A catalog's sentence for one action. Braces enclose {@code resource} or {@code args.NAME} and nothing else,
 * and each is replaced once: braces inside a value stay as they are.
 */
record Template(List<String> literals, List<String> names) {

    private static final String RESOURCE = "resource";
    private static final Pattern PLACE = Pattern.compile("\\{(resource|args\\.[^{}]+)\\}");
    private static final String ABSENT = "nothing";

    static Template of(String text, Set<String> declaredArgs) throws PlanRefused {
        List<String> literals = new ArrayList<>();
        List<String> names = new ArrayList<>();
        Matcher place = PLACE.matcher(text);
        int from = 0;
        while (place.find()) {
            literals.add(literal(text.substring(from, place.start())));
            names.add(name(place.group(1), declaredArgs));
            from = place.end();
        }
        literals.add(literal(text.substring(from)));
        return new Template(List.copyOf(literals), List.copyOf(names));
    }

    String sentence(Step step) {
        return filled(name -> phrase(name, step));
    }

    /** The sentence for one call; values are shown as they stand. */
    String sentence(String resource, Map<String, String> args) {
        return filled(name -> name.isEmpty() ? resource : args.getOrDefault(name, ABSENT));
    }

    private String filled(UnaryOperator<String> phrase) {
        StringBuilder out = new StringBuilder(literals.get(0));
        for (int i = 0; i < names.size(); i++) {
            out.append(phrase.apply(names.get(i))).append(literals.get(i + 1));
        }
        return out.toString();
    }

    private static String phrase(String name, Step step) {
        if (name.isEmpty()) {
            return step.resource().phraseWithin();
        }
        Constraint constraint = step.args().get(name);
        return constraint == null ? ABSENT : constraint.phraseWithin();
    }

    /** The argument's name, or the empty text for the resource. */
    private static String name(String place, Set<String> declaredArgs) throws PlanRefused {
        if (place.equals(RESOURCE)) {
            return "";
        }
        String name = place.substring("args.".length());
        if (!declaredArgs.contains(name)) {
            throw new PlanRefused("a catalog's sentence names an argument that the action does not have");
        }
        return name;
    }

    private static String literal(String text) throws PlanRefused {
        if (text.indexOf('{') >= 0 || text.indexOf('}') >= 0) {
            throw new PlanRefused("a catalog's sentence uses braces in another way");
        }
        return text;
    }
}
