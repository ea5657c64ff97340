package dev.marque.keycloak.approval;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

import org.keycloak.common.Version;

/** The oldest server that the ceremony is safe on: before it, a passkey's challenge could be used twice. */
final class ServerVersion {

    private static final int MAJOR = 26;
    private static final int MINOR = 7;
    private static final Pattern NUMBERS = Pattern.compile("(\\d{1,6})\\.(\\d{1,6})(\\..*|-.*)?");

    private ServerVersion() {
    }

    /**
     * Stops the server's start on an older server.
     *
     * @throws IllegalStateException with one line that says what to do
     */
    static void check() {
        if (!isNewEnough(Version.VERSION)) {
            throw new IllegalStateException("Marque needs Keycloak " + MAJOR + "." + MINOR + " or newer; this is "
                    + Version.VERSION + ". Upgrade Keycloak or remove marque-keycloak.jar from its providers directory.");
        }
    }

    static boolean isNewEnough(String version) {
        Matcher numbers = NUMBERS.matcher(version == null ? "" : version);
        if (!numbers.matches()) {
            return false;
        }
        int major = Integer.parseInt(numbers.group(1));
        return major > MAJOR || major == MAJOR && Integer.parseInt(numbers.group(2)) >= MINOR;
    }
}
