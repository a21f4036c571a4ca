//! Lints on files, read as `check` reads them, each beside its expected text.
//! Must never depend on the day on which it runs: the day is given.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::civil::date;
use tidegate_spec::{
    Context, Diagnostics, Parsed, Purpose, Severity, fmt, migrate, read_with, sarif, schema, show,
    wanted,
};

use crate::release;

type Files = BTreeMap<String, Vec<u8>>;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lint")
}

fn checked(source: &str, files: &Files, environment: Option<&str>) -> Result<Parsed, Diagnostics> {
    let variables = BTreeMap::new();
    read_with(source, "tidegate.yaml", &context(files, &variables, environment, Purpose::Check))
}

fn context<'a>(
    files: &'a Files,
    variables: &'a BTreeMap<String, String>,
    environment: Option<&'a str>,
    purpose: Purpose,
) -> Context<'a> {
    Context {
        release: release(),
        environment,
        files,
        variables,
        today: Some(date(2026, 1, 1)),
        purpose,
    }
}

fn notes(source: &str) -> Diagnostics {
    match checked(source, &Files::new(), None) {
        Ok(parsed) => Diagnostics(parsed.notes),
        Err(found) => found,
    }
}

fn files(list: &[(&str, &str)]) -> Files {
    list.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect()
}

#[test]
fn every_lint_is_said_as_recorded() {
    let bless = std::env::var_os("TIDEGATE_BLESS").is_some();
    let mut differences = Vec::new();
    let mut seen = 0;
    for entry in fs::read_dir(folder()).expect("the folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|ending| ending != "yaml") {
            continue;
        }
        seen += 1;
        let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned();
        let found = notes(&fs::read_to_string(&path).expect("a file"));
        assert!(!found.has_errors(), "{stem}:\n{found}");
        if let Some(code) = stem.split('-').next().filter(|code| code.starts_with("TG")) {
            assert!(found.iter().any(|f| f.code == code), "{stem} lacks {code}:\n{found}");
        }
        let expected = path.with_extension("txt");
        if bless {
            fs::write(&expected, found.to_string()).expect("the expected text");
        } else if fs::read_to_string(&expected).unwrap_or_default() != found.to_string() {
            differences.push(format!("{stem} is answered with\n{found}"));
        }
    }
    assert!(seen > 25, "only {seen} files");
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

/// The 27 of the catalogue, each found in a file.
#[test]
fn the_catalogue_is_complete() {
    let bad = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad");
    for number in 2001..=2027 {
        let name = format!("TG{number}.yaml");
        assert!(folder().join(&name).exists() || bad.join(&name).exists(), "no file for {name}");
    }
}

#[test]
fn an_accepted_finding_stays_visible_and_an_error_is_never_accepted() {
    let found = notes(&fs::read_to_string(folder().join("accepted.yaml")).expect("a file"));
    let overdue = found.iter().find(|f| f.code == "TG2027").expect("the finding");
    assert_eq!(overdue.severity, Severity::Note);
    assert_eq!(overdue.accepted.as_deref(), Some("the document is being replaced"));
    let source = "tidegate: 1\nservice: s\ndeploy: {run: [a], zzz: 1}\naccept: {TG1007: so what}\n";
    assert!(notes(source).iter().any(|f| f.code == "TG1007" && f.accepted.is_none()));
}

#[test]
fn what_is_declared_and_not_served_passes_a_check_and_never_a_deployment() {
    let source = fs::read_to_string(folder().join("placed.yaml")).expect("a file");
    let parsed = checked(&source, &Files::new(), None).expect("accepted");
    let paths: Vec<&str> = parsed.unserved.iter().map(|unserved| unserved.path.as_str()).collect();
    assert_eq!(paths, ["traffic.route.alb", "deploy.slots.blue", "deploy.slots.green"]);
    let refused = tidegate_spec::parse(&source, "tidegate.yaml", release(), None);
    let refused = refused.expect_err("a deployment is refused");
    assert!(refused.iter().any(|f| f.code == "TG1011" && f.severity == Severity::Error));
    let asks = fs::read_to_string(folder().join("TG1038.yaml")).expect("a file");
    let refused = tidegate_spec::parse(&asks, "tidegate.yaml", release(), None);
    assert!(refused.expect_err("open").iter().all(|f| f.code == "TG1038"));
}

const SHARED: &str =
    "traffic: {each: {for: 5m}, rollback_if: [errors > 2% for 1m]}\nowner: shared\n";
const MAIN: &str = "tidegate: 1\nservice: shop\nuse: [shared.yaml]\nextends: preset:canary-web\n\
                    environments: {staging: {with: {traffic: {each: {for: 1m}}, owner: ~}}, \
                    production: {use: [production.yaml]}}\ndeploy: {run: [./server]}\n\
                    traffic: {each: {at_least: 7 requests}}\n";
const PRODUCTION: &str = "deploy: {instances: 6}\ntraffic: {steps: [10%, 100%]}\n";

#[test]
fn files_are_merged_in_their_order() {
    let mut known = Files::new();
    assert_eq!(wanted(MAIN, &known), ["production.yaml", "shared.yaml"]);
    known = files(&[("shared.yaml", SHARED), ("production.yaml", PRODUCTION)]);
    assert!(wanted(MAIN, &known).is_empty());
    let plan = |environment| checked(MAIN, &known, Some(environment)).expect("accepted").plan;
    let staging = plan("staging");
    let production = plan("production");
    // Preset below `use` below the file below the environment.
    assert_eq!((staging.traffic.steps.len(), production.traffic.steps.len()), (4, 2));
    assert_eq!(staging.traffic.dwell.as_secs(), 60);
    assert_eq!(production.traffic.dwell.as_secs(), 300);
    assert_eq!((staging.traffic.at_least, production.traffic.at_least), (7, 7));
    assert_eq!((staging.parts[0].instances, production.parts[0].instances), (2, 6));
    assert_eq!(production.traffic.confidence, Some(0.95));
    assert_eq!(production.traffic.rollback_if.len(), 1);
}

#[test]
fn every_value_knows_where_it_is_from_and_what_it_hides() {
    let known = files(&[("shared.yaml", SHARED), ("production.yaml", PRODUCTION)]);
    let variables = BTreeMap::new();
    let context = context(&known, &variables, Some("staging"), Purpose::Check);
    let shown = show(MAIN, "tidegate.yaml", &context).expect("shown");
    let value = |path: &str| shown.values.iter().find(|value| value.path == path);
    let dwell = value("traffic.each.for").expect("the dwell");
    assert_eq!((dwell.value.as_str(), dwell.file.as_str()), ("1m", "tidegate.yaml"));
    assert_eq!(dwell.hides, ["shared.yaml:1"]);
    assert_eq!(value("traffic.steps[1]").expect("a step").file, "preset:canary-web");
    assert!(value("owner").is_none(), "an empty value takes the key away");
    // The resolved text reads as the same plan.
    let again = checked(&shown.text, &Files::new(), Some("staging")).expect("accepted").plan;
    assert_eq!(again, checked(MAIN, &known, Some("staging")).expect("accepted").plan);
}

#[test]
fn files_that_use_each_other_end() {
    let source = "tidegate: 1\nservice: s\nuse: [a.yaml]\ndeploy: {run: [a]}\n";
    let circle = files(&[("a.yaml", "use: [b.yaml]\n"), ("b.yaml", "use: [a.yaml]\n")]);
    let found = checked(source, &circle, None).expect_err("a circle");
    let circle = found.iter().find(|f| f.code == "TG1033").expect("the code");
    assert_eq!(circle.help.as_deref(), Some("a.yaml -> b.yaml -> a.yaml"));
    assert_eq!(circle.place.as_ref().map(|place| place.file.as_str()), Some("b.yaml"));
    let mut chain = Files::new();
    for level in 0..40 {
        let text = format!("use: [f{}.yaml]\n", level + 1);
        chain.insert(format!("f{level}.yaml"), text.into_bytes());
    }
    let source = source.replace("a.yaml", "f0.yaml");
    let found = checked(&source, &chain, None).expect_err("too deep");
    assert!(found.iter().any(|f| f.code == "TG1032"), "{found}");
    for path in ["../x.yaml", "/etc/passwd", "a/../../b"] {
        let source = source.replace("f0.yaml", path);
        assert!(wanted(&source, &Files::new()).is_empty(), "{path}");
        let found = checked(&source, &Files::new(), None).expect_err("outside");
        assert!(found.iter().any(|f| f.code == "TG1025"), "{found}");
    }
}

#[test]
fn findings_in_a_used_file_point_into_it() {
    let source = "tidegate: 1\nservice: s\nuse: [a.yaml]\n";
    let known = files(&[("a.yaml", "# mine\ndeploy:\n  run: [a]\n  instnces: 3\n")]);
    let found = checked(source, &known, None).expect_err("a misspelt key");
    let finding = found.iter().find(|f| f.code == "TG1007").expect("the code");
    let place = finding.place.as_ref().expect("a place");
    assert_eq!(
        (place.file.as_str(), place.line, place.text.as_str()),
        ("a.yaml", 4, "  instnces: 3")
    );
}

#[test]
fn values_come_from_the_file_or_the_caller_and_from_nowhere_else() {
    let source = "tidegate: 1\nservice: s\nvariables: {NAME: {type: text}, HOST: shop.net}\n\
                  deploy: {run: [a, '${env.NAME}', '${env.HOST}', '${release.version}']}\n";
    let known = Files::new();
    let mut variables = BTreeMap::new();
    let missing = read_with(source, "t", &context(&known, &variables, None, Purpose::Deploy))
        .expect_err("none");
    assert!(missing.iter().any(|f| f.code == "TG1037"), "{missing}");
    variables.insert("NAME".to_owned(), "north".to_owned());
    let parsed =
        read_with(source, "t", &context(&known, &variables, None, Purpose::Deploy)).expect("given");
    assert_eq!(parsed.plan.parts[0].run.argv, ["a", "north", "shop.net", "v2.1.0"]);
    variables.insert("OTHER".to_owned(), "x".to_owned());
    let unknown = read_with(source, "t", &context(&known, &variables, None, Purpose::Deploy))
        .expect_err("OTHER");
    assert!(unknown.iter().any(|f| f.code == "TG1034"), "{unknown}");
}

#[test]
fn formatting_keeps_comments_and_meaning() {
    let source = "# The file.\n\ntraffic: {steps: [100%]}   \n\n\n# What runs.\ndeploy:\n  # two of them\n  \
                  instances: 2\n  run: [a]\nservice: s\ntidegate: 1\nx-note: mine\n";
    let formatted = fmt(source, "t").expect("formatted");
    let expected = "# The file.\n\ntidegate: 1\nservice: s\n\n# What runs.\ndeploy:\n  # two of them\n  \
                    instances: 2\n  run: [a]\ntraffic: {steps: [100%]}\nx-note: mine\n";
    assert_eq!(formatted, expected);
    assert_eq!(fmt(&formatted, "t").expect("again"), formatted);
    let (migrated, said) = migrate("# mine\nservice: s\n", "t").expect("migrated");
    assert_eq!(migrated, "# mine\ntidegate: 1\nservice: s\n");
    assert_eq!(said.len(), 1);
    assert!(migrate("tidegate: 2\n", "t").is_err());
}

#[test]
fn sarif_has_every_finding_with_its_place() {
    let found = notes(&fs::read_to_string(folder().join("accepted.yaml")).expect("a file"));
    let sarif = sarif(&found.0, "1.2.3");
    assert_eq!(sarif["version"], "2.1.0");
    let results = sarif["runs"][0]["results"].as_array().expect("results");
    assert_eq!(results.len(), found.0.len());
    let overdue = results.iter().find(|result| result["ruleId"] == "TG2027").expect("the rule");
    assert_eq!(overdue["level"], "note");
    assert_eq!(overdue["suppressions"][0]["kind"], "inSource");
    let region = &overdue["locations"][0]["physicalLocation"]["region"];
    assert_eq!((&region["startLine"], &region["startColumn"]), (&5.into(), &16.into()));
}

/// The keys that the readers know are those of the table that the schema is made from.
#[test]
fn the_schema_has_the_keys_of_the_readers() {
    let head = "tidegate: 1\nservice: s\n";
    let schema = schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    for (source, pointer) in [
        (format!("{head}qqqqqq: 1\n"), ""),
        (format!("{head}release: {{qqqqqq: 1}}\n"), "/properties/release"),
        (format!("{head}build: {{run: [a], qqqqqq: 1}}\n"), "/properties/build/anyOf/1"),
        (format!("{head}deploy: {{qqqqqq: 1}}\n"), "/properties/deploy"),
        (
            format!("{head}deploy: {{probes: {{p: {{get: /, qqqqqq: 1}}}}}}\n"),
            "/properties/deploy/properties/probes/additionalProperties",
        ),
        (
            format!("{head}deploy: {{smoke: {{run: [a], qqqqqq: 1}}}}\n"),
            "/properties/deploy/properties/smoke",
        ),
        (format!("{head}parts: {{p: {{qqqqqq: 1}}}}\n"), "/properties/parts/additionalProperties"),
        (format!("{head}deploy: {{}}\ntraffic: {{qqqqqq: 1}}\n"), "/properties/traffic"),
        (
            format!("{head}deploy: {{}}\ntraffic: {{route: {{qqqqqq: 1}}}}\n"),
            "/properties/traffic/properties/route",
        ),
        (
            format!("{head}traffic: {{each: {{qqqqqq: 1}}}}\n"),
            "/properties/traffic/properties/each",
        ),
        (format!("{head}after: {{qqqqqq: 1}}\n"), "/properties/after"),
        (format!("{head}after: {{watch: {{qqqqqq: 1}}}}\n"), "/properties/after/properties/watch"),
        (format!("{head}targets: {{qqqqqq: 1}}\n"), "/properties/targets"),
    ] {
        let found = tidegate_spec::parse(&source, "t", release(), None).err().unwrap_or_default();
        let help = found.iter().find(|f| f.code == "TG1007").and_then(|f| f.help.clone());
        let help = help.unwrap_or_else(|| panic!("no list of keys for {source}:\n{found}"));
        let properties = schema.pointer(&format!("{pointer}/properties"));
        let properties = properties.and_then(serde_json::Value::as_object).expect(pointer);
        let served: Vec<&String> = properties
            .iter()
            .filter(|(_, value)| value.get("x-tidegate-served").is_none())
            .map(|(key, _)| key)
            .collect();
        let mut read: Vec<&str> = help.split('`').skip(1).step_by(2).collect();
        read.sort_unstable();
        let mut in_schema: Vec<&str> = served.iter().map(|key| key.as_str()).collect();
        // A certificate's days belong to a question that this probe does not ask.
        in_schema.retain(|key| *key != "days_left" || read.contains(key));
        in_schema.sort_unstable();
        assert_eq!(read, in_schema, "{pointer}");
    }
}

/// A thousand lines of real keys: well within what an editor may ask at every stroke.
#[test]
fn a_long_file_is_read() {
    let mut source = String::from("tidegate: 1\nservice: shop\nparts:\n");
    for part in 0..16 {
        source.extend([format!(
            "  part-{part}:\n    run: [./server]\n    route: {{path: /p{part}}}\n    probes:\n"
        )]);
        for probe in 0..16 {
            source.extend([format!(
                "      probe-{probe}:\n        get: /health/{probe}\n        expect: 200\n"
            )]);
        }
    }
    let parsed = checked(&source, &Files::new(), None).expect("accepted");
    assert_eq!(parsed.plan.parts.len(), 16);
    assert!(source.lines().count() > 800);
}
