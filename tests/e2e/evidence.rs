//! Evidence holds by the keys that an auditor pins, and by no others.

use std::fs;
use std::path::{Path, PathBuf};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use marque_core::canonical::encode;
use marque_core::evidence::{read, signing_input, write};
use marque_demo::Result;
use marque_demo::agent::Submission;
use serde_json::{Map, Value, json};
use tokio::process::Command;

use crate::case::{Case, case};

const MARQUE: &str = env!("CARGO_BIN_EXE_marque");

/// A key that nobody pins, and its public JWK.
fn stranger() -> Result<(EcdsaKeyPair, Map<String, Value>)> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| "no key")?;
    let point = pair.public_key().as_ref();
    let jwk = json!({"kty": "EC", "crv": "P-256", "x": encode(&point[1..33]), "y": encode(&point[33..])});
    Ok((pair, jwk.as_object().cloned().unwrap_or_default()))
}

pub async fn export(case: &Case, what: &[&str], file: &Path) -> Result<()> {
    let mut export = Command::new(MARQUE);
    export.args(what).arg("--config").arg(case.dir.join("marque.toml")).arg("-o").arg(file);
    let url = case.database_url().await?;
    let ended = export.env("DATABASE_URL", url).kill_on_drop(true).output().await?;
    match ended.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&ended.stderr).into_owned().into()),
    }
}

/// How `marque evidence verify` exits, and what it says.
pub async fn verify(file: &Path, trust: Option<&Path>) -> Result<(Option<i32>, String)> {
    verify_with(file, trust, None).await
}

/// The same beside a plan's file.
pub async fn verify_with(file: &Path, trust: Option<&Path>, plan: Option<&Path>) -> Result<(Option<i32>, String)> {
    let mut verify = Command::new(MARQUE);
    verify.args(["evidence", "verify"]).arg(file).env_clear().kill_on_drop(true);
    if let Some(trust) = trust {
        verify.arg("--trust").arg(trust);
    }
    if let Some(plan) = plan {
        verify.arg("--plan").arg(plan);
    }
    let ended = verify.output().await?;
    let said = [ended.stdout, ended.stderr].concat();
    Ok((ended.status.code(), String::from_utf8_lossy(&said).into_owned()))
}

/// A folder of this case.
pub fn folder(case: &Case, intent: &Submission) -> Result<PathBuf> {
    let folder = case.dir.join("evidence").join(&intent.intent_id);
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// The evidence of a fresh approval, and the stack's own trust file.
async fn approved(case: &mut Case) -> Result<(PathBuf, PathBuf, PathBuf)> {
    let (intent, alice) = (case.submit().await?, case.alice.clone());
    case.approve(&intent, &alice).await?;
    let folder = folder(case, &intent)?;
    let (evidence, trust) = (folder.join("evidence.json"), folder.join("trust.json"));
    export(case, &["evidence", "export", &intent.intent_id], &evidence).await?;
    export(case, &["trust", "export"], &trust).await?;
    let (code, said) = verify(&evidence, Some(&trust)).await?;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("approved by  alice") && said.contains("\nanchored"), "{said}");
    Ok((folder, evidence, trust))
}

#[tokio::test]
async fn evidence_signed_by_a_key_that_is_not_pinned_fails() {
    case(async |case| {
        let (folder, evidence, trust) = approved(case).await?;
        let (pair, jwk) = stranger()?;
        let payload = read(&fs::read(&evidence)?).map_err(|refused| refused.to_string())?.payload;
        let signature = pair.sign(&SystemRandom::new(), &signing_input(&payload)).map_err(|_| "no signature")?;
        let foreign = folder.join("foreign.json");
        fs::write(&foreign, write(&payload, &jwk, signature.as_ref()))?;
        let (code, said) = verify(&foreign, Some(&trust)).await?;
        assert_eq!(code, Some(1), "{said}");
        // In itself it is whole: what is wrong with it is whose it is.
        let (code, said) = verify(&foreign, None).await?;
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("unanchored"), "{said}");
        Ok(fs::remove_dir_all(folder)?)
    })
    .await;
}

#[tokio::test]
async fn evidence_fails_where_other_keys_or_issuers_are_pinned() {
    case(async |case| {
        let (folder, evidence, trust) = approved(case).await?;
        let (_, mut jwk) = stranger()?;
        jwk.extend([("kid".to_owned(), json!("stranger")), ("alg".to_owned(), json!("ES256"))]);
        let jwks = json!({"keys": [jwk]});
        let pins: Value = serde_json::from_slice(&fs::read(&trust)?)?;
        for (place, other) in [
            ("/marque/jwks", jwks.clone()),
            ("/realm/jwks", jwks),
            ("/marque/issuer", json!("https://elsewhere.test/realms/demo")),
            ("/realm/issuer", json!("https://elsewhere.test/realms/demo")),
        ] {
            let mut pins = pins.clone();
            *pins.pointer_mut(place).ok_or("the trust file has no such member")? = other;
            let foreign = folder.join("foreign-trust.json");
            fs::write(&foreign, pins.to_string())?;
            let (code, said) = verify(&evidence, Some(&foreign)).await?;
            assert_eq!(code, Some(1), "{place}: {said}");
            assert!(said.contains("does not hold"), "{place}: {said}");
        }
        Ok(fs::remove_dir_all(folder)?)
    })
    .await;
}
