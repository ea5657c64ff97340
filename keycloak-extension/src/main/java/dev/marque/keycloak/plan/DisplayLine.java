package dev.marque.keycloak.plan;

/**
 * One line of the display.
 *
 * @param text the line, without an end of line
 * @param danger whether the page should make it stand out; no part of what is signed
 */
public record DisplayLine(String text, boolean danger) {
}
