package dev.marque.keycloak.plan;

/**
 * Where in a step's result: a JSON pointer in which one segment may be {@code *}, each element of a list.
 *
 * @param list what stands before the {@code *}, or null if there is none
 */
record Field(String text, String list) {

    static Field of(String text, String what) throws PlanRefused {
        Forms.pointer(text, what);
        String list = null;
        StringBuilder before = new StringBuilder();
        String[] segments = text.split("/", -1);
        for (int i = 1; i < segments.length; i++) {
            if (segments[i].equals("*") && list != null) {
                throw new PlanRefused(what + " has more than one *");
            }
            list = segments[i].equals("*") ? before.toString() : list;
            before.append('/').append(segments[i]);
        }
        return new Field(text, list);
    }

    /** Whether it names one value for each element of a list. */
    boolean isColumn() {
        return list != null;
    }
}
