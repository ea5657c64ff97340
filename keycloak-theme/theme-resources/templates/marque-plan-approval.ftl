<#import "template.ftl" as layout>
<#import "buttons.ftl" as buttons>
<@layout.registrationLayout displayInfo=false; section>
    <#if section = "header">
        ${msg(isStepUp?then("marqueStepUpHeader", "marquePlanHeader"))}
    <#elseif section = "form">
        <style>
            #marque-approval { container-type: inline-size; }
            #plan-lines { list-style: none; margin: 0 0 1rem; padding: 0; }
            #plan-lines li { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-variant-numeric: slashed-zero;
                overflow-wrap: anywhere; padding: .15rem .5rem; unicode-bidi: isolate; white-space: pre-wrap; }
            #plan-lines li.marque-danger { border-inline-start: .3rem solid #c9190b; font-weight: 700; }
            #plan-words { font-family: ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
            #marque-deny-reason { inline-size: 100%; margin-block: .5rem; }
            @media (forced-colors: active) { #plan-lines li.marque-danger { border-color: Mark; } }
        </style>
        <div id="marque-approval" data-challenge="${challenge}" data-intent="${intentId}" data-plan-digest="${planDigest}">
            <ol id="plan-lines" aria-label="${msg(isStepUp?then("marqueStepUpLines", "marquePlanLines"))}"><#list planLines as line><li<#if line.danger> class="marque-danger"</#if>>${line.text}</li></#list></ol>
            <p>${msg("marquePlanWords")} <strong id="plan-words" translate="no">${planWords}</strong></p>

            <form id="webauth" action="${url.loginAction}" method="post" hidden="hidden">
                <input type="hidden" id="clientDataJSON" name="clientDataJSON"/>
                <input type="hidden" id="authenticatorData" name="authenticatorData"/>
                <input type="hidden" id="signature" name="signature"/>
                <input type="hidden" id="credentialId" name="credentialId"/>
                <input type="hidden" id="userHandle" name="userHandle"/>
                <input type="hidden" id="error" name="error"/>
            </form>
            <form id="authn_select" hidden="hidden">
                <#list authenticators.authenticators as authenticator>
                    <input type="hidden" name="authn_use_chk" value="${authenticator.credentialId}"/>
                </#list>
            </form>

            <@buttons.actionGroup>
                <@buttons.button id="marque-approve" label="marquePlanApprove" disabled="disabled"/>
            </@buttons.actionGroup>
            <noscript><p>${msg("marquePlanNoScript")}</p></noscript>

            <form id="marque-deny-form" action="${url.loginAction}" method="post">
                <input type="hidden" name="page" value="${challenge}"/>
                <label for="marque-deny-reason">${msg("marquePlanDenyReason")}</label>
                <input type="text" id="marque-deny-reason" name="reason" maxlength="${longestReason?c}" autocomplete="off"/>
                <button id="marque-deny" name="deny" value="1" type="submit" class="${properties.kcButtonSecondaryClass!} ${properties.kcButtonBlockClass!}">${msg("marquePlanDeny")}</button>
            </form>
        </div>
        <#-- Inline, because Keycloak serves files under theme-resources/resources for 30 days under a path that a new jar keeps. -->
        <script type="module">
            <#outputformat "JavaScript">
            import { authenticateByWebAuthn } from ${(url.resourcesPath + "/js/webauthnAuthenticate.js")?c};
            const approve = document.getElementById("marque-approve");
            approve.addEventListener("click", () => {
                approve.disabled = true;
                authenticateByWebAuthn({
                    isUserIdentified: true,
                    challenge: ${challenge?c},
                    userVerification: "required",
                    rpId: ${rpId?c},
                    createTimeout: ${createTimeout?c},
                    errmsg: ${msg("webauthn-unsupported-browser-text")?c},
                });
            });
            approve.disabled = false;
            </#outputformat>
        </script>
    </#if>
</@layout.registrationLayout>
