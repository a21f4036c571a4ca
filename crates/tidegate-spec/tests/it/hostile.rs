//! Files written to hurt: each is refused with a code, quickly, whatever it does.

use std::time::{Duration, Instant};

use tidegate_spec::{Diagnostics, SOURCE_BYTES_MAX, decode};

use crate::read;

/// Far above what any of these takes (a few milliseconds), far below what hurts.
const QUICK: Duration = Duration::from_secs(2);

const HEAD: &str = "tidegate: 1\nservice: shop\ndeploy: {run: [./server]}\n";

/// Reads bytes the way a caller does.
fn refused(bytes: &[u8]) -> Diagnostics {
    let began = Instant::now();
    let result = match decode(bytes, "tidegate.yaml") {
        Ok(text) => read(text).map(|_| ()),
        Err(findings) => Err(findings),
    };
    let took = began.elapsed();
    assert!(took < QUICK, "took {took:?}");
    let Err(findings) = result else { panic!("accepted") };
    assert!(findings.has_errors() && findings.iter().all(|f| f.code.starts_with("TG")));
    assert!(findings.to_string().len() < 64 * 1024, "the answer is too long");
    findings
}

fn codes(bytes: &[u8]) -> Vec<String> {
    refused(bytes).iter().map(|finding| finding.code.clone()).collect()
}

fn has(bytes: &[u8], code: &str) {
    let found = codes(bytes);
    assert!(found.iter().any(|c| c == code), "{code} is not among {found:?}");
}

fn traffic(line: &str) -> Vec<u8> {
    format!("{HEAD}traffic: {{{line}}}\n").into_bytes()
}

#[test]
fn bombs_do_not_go_off() {
    let mut bomb = String::from("a: &a [x,x,x,x,x,x,x,x,x]\n");
    for (here, below) in ('b'..='i').zip('a'..='h') {
        bomb.extend([format!("{here}: &{here} [{}]\n", vec![format!("*{below}"); 9].join(","))]);
    }
    has(bomb.as_bytes(), "TG1005");
    has("[".repeat(200_000).as_bytes(), "TG1005");
    has(format!("x: {}{}", "[".repeat(100), "]".repeat(100)).as_bytes(), "TG1005");
    has(format!("x: {}", "{a: ".repeat(60_000)).as_bytes(), "TG1005");
    has(&"- ".repeat(100_000).into_bytes(), "TG1005");
    has(&traffic(&format!("steps: [{}]", "5%,".repeat(60_000))), "TG1005");
    has(&traffic(&format!("steps: [{}]", "5%,".repeat(1_000_000))), "TG1001");
    has(format!("a: &a [*a]\n{HEAD}").as_bytes(), "TG1005");
    // A chain of aliases nests although no line of it does.
    let mut chain = String::from("x0: &a0 [y]\n");
    for level in 1..60 {
        chain.extend([format!("x{level}: &a{level} [*a{}]\n", level - 1)]);
    }
    has(chain.as_bytes(), "TG1005");
}

#[test]
fn what_is_no_text_is_refused_before_it_is_read() {
    has(&vec![b' '; SOURCE_BYTES_MAX + 1], "TG1001");
    has(b"service: sh\xffop", "TG1002");
    has(b"service: sh\x00op", "TG1002");
    has(b"service: sh\x1b[2Jop", "TG1002");
    let utf16: Vec<u8> =
        [0xff, 0xfe].into_iter().chain(HEAD.bytes().flat_map(|b| [b, 0])).collect();
    has(&utf16, "TG1002");
    has(format!("{HEAD}# \u{202e}nothing to see\n").as_bytes(), "TG1027");
    has(b"\xef\xbb\xbf", "TG1008");
    has(b"", "TG1008");
    has(b"%YAML 1.1\n---\na: b\n", "TG1003");
}

#[test]
fn a_terminal_is_never_driven_by_a_file() {
    let shown = refused("tidegate: 1\nservice: \"a\\e[2J\\u202eb\"\n".as_bytes()).to_string();
    assert!(!shown.contains('\u{1b}') && !shown.contains('\u{202e}'), "{shown:?}");
    let shown = refused("tidegate: 1\n\u{200b}service: a\n".as_bytes()).to_string();
    assert!(shown.contains("\\u{200b}service"), "{shown}");
}

#[test]
fn numbers_that_are_none_are_refused() {
    for weight in [
        "no",
        "012",
        "1_000",
        "1e400",
        ".nan",
        ".inf",
        "-5%",
        "101%",
        "5.0000001%",
        "99999999999999999999%",
        "0%",
        "5",
        "012%",
        "1_0%",
        "0x5%",
        "٥%",
        "5 % %",
        "''",
        "~",
        "{}",
        "[]",
        "!!float 5",
        "18446744073709551716%",
    ] {
        let found = codes(&traffic(&format!("steps: [{weight}, 100%]")));
        let expected = ["TG1009", "TG1014", "TG1015", "TG1006"];
        assert!(found.iter().any(|c| expected.contains(&c.as_str())), "{weight}: {found:?}");
    }
    for limit in ["no", "012%", "1_000%", "1e400%", ".nan", ".inf%", "-1%", "101%", "1", "%"] {
        let found = codes(&traffic(&format!("rollback_if: [\"errors > {limit}\"]")));
        assert!(
            found.iter().any(|c| ["TG1014", "TG1016"].contains(&c.as_str())),
            "{limit}: {found:?}"
        );
    }
    for steps in ["[]", "[100%, 100%]", "[50%, 25%, 100%]", "[50%]", "[60%, 60%]", "100%", "{a: b}"]
    {
        let found = codes(&traffic(&format!("steps: {steps}")));
        assert!(
            found.iter().any(|c| ["TG1009", "TG1015"].contains(&c.as_str())),
            "{steps}: {found:?}"
        );
    }
}

#[test]
fn names_that_are_none_are_refused() {
    let long = "a".repeat(4_096);
    for name in [
        "../../x",
        "CON",
        &long,
        "-leading",
        "..",
        ".",
        "a b",
        "a/b",
        "\u{455}hop",
        "caf\u{e9}",
        "cafe\u{301}",
        "a\u{200b}b",
        "\"a\\u0000b\"",
        "\"\"",
        "\"a\\nb\"",
    ] {
        has(format!("tidegate: 1\nservice: {name}\ndeploy: {{run: [a]}}\n").as_bytes(), "TG1012");
    }
}

#[test]
fn keys_nobody_knows_are_refused_at_every_level() {
    for source in [
        format!("{HEAD}zzz: 1\n"),
        "tidegate: 1\nservice: s\ndeploy: {run: [a], zzz: 1}\n".to_owned(),
        "tidegate: 1\nservice: s\ndeploy: {run: [a], probes: {p: {get: /, zzz: 1}}}\n".to_owned(),
        "tidegate: 1\nservice: s\ndeploy: {run: [a], smoke: {suite: s, zzz: 1}}\n".to_owned(),
        "tidegate: 1\nservice: s\ndeploy: {run: {shell: a, zzz: 1}}\n".to_owned(),
        "tidegate: 1\nservice: s\nbuild: {run: [a], zzz: 1}\ndeploy: {run: [a]}\n".to_owned(),
        "tidegate: 1\nservice: s\nparts: {web: {run: [a], route: {zzz: 1}}}\n".to_owned(),
        format!("{HEAD}traffic: {{zzz: 1}}\n"),
        format!("{HEAD}traffic: {{each: {{zzz: 1}}}}\n"),
        format!("{HEAD}traffic: {{otherwise: {{zzz: 1}}}}\n"),
        format!("{HEAD}traffic: {{route: {{zzz: 1}}}}\n"),
        format!("{HEAD}after: {{zzz: 1}}\n"),
        format!("{HEAD}after: {{watch: {{zzz: 1}}}}\n"),
        format!("{HEAD}targets: {{zzz: 1}}\n"),
        format!("{HEAD}release: {{zzz: 1}}\n"),
    ] {
        has(source.as_bytes(), "TG1007");
    }
}

#[test]
fn the_answer_to_a_thousand_mistakes_is_short() {
    let mut source = String::from(HEAD);
    for index in 0..1_000 {
        source.extend([format!("zzz{index}: 1\n")]);
    }
    let found = codes(source.as_bytes());
    assert!(found.len() < 100, "{}", found.len());
    assert_eq!(found.last().map(String::as_str), Some("TG1031"));
}

#[test]
fn tls_and_load_balancers_that_mean_nothing_are_refused() {
    let route = |keys: &str| traffic(&format!("route: {{listen: 0.0.0.0:443, {keys}}}"));
    for (keys, code) in [
        ("tls: {}", "TG1024"),
        ("tls: {certificate: /a.pem}", "TG1024"),
        ("tls: {certificate: /a.pem, key: /a.key, acme: {terms: agreed}}", "TG1024"),
        ("tls: {certificate: a.pem, key: /a.key}", "TG1022"),
        ("tls: {certificate: /a/../b.pem, key: /a.key}", "TG1022"),
        ("tls: {certificate: /a.pem, key: /a.key, redirect_from: \"80\"}", "TG1022"),
        ("tls: {certificate: /a.pem, key: /a.key, min_version: \"1.3\"}", "TG1011"),
        // The proof is asked for under the host's name, by plain HTTP.
        ("tls: {acme: {terms: agreed}}", "TG1024"),
        ("host: a.b, tls: {acme: {terms: agreed}}", "TG1024"),
        ("host: a.b, tls: {acme: {}, redirect_from: 0.0.0.0:80}", "TG1008"),
        ("host: a.b, tls: {acme: {terms: yes}, redirect_from: 0.0.0.0:80}", "TG1023"),
        (
            "host: a.b, tls: {acme: {terms: agreed, directory: http://x}, redirect_from: 0.0.0.0:80}",
            "TG1022",
        ),
        (
            "host: a.b, tls: {acme: {terms: agreed, contact: nobody}, redirect_from: 0.0.0.0:80}",
            "TG1022",
        ),
        ("behind: {speaks: forwarded}", "TG1008"),
        ("behind: {from: [], speaks: forwarded}", "TG1020"),
        ("behind: {from: [10.0.0.0], speaks: forwarded}", "TG1022"),
        ("behind: {from: [10.0.0.0/33], speaks: forwarded}", "TG1022"),
        ("behind: {from: [10.0.0.0/8]}", "TG1008"),
        ("behind: {from: [10.0.0.0/8], speaks: xff}", "TG1023"),
    ] {
        has(&route(keys), code);
    }
    has(b"tidegate: 1\nservice: s\ndeploy: {run: [a], protocol: h3}\n", "TG1023");
}
