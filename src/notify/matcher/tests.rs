//! Texts of both grammars and what they mean.

use super::*;

fn both(text: &str) -> Result<Parsed, MatcherError> {
    parse_matchers(text, Grammar::Fallback)
}

fn shown(text: &str) -> String {
    MatcherList(&both(text).expect(text).matchers).to_string()
}

#[test]
fn lists_come_with_and_without_braces() {
    for (text, expected) in [
        ("foo=bar", r#"{foo="bar"}"#),
        ("{foo=\"bar\", dings!=bums, }", r#"{foo="bar",dings!="bums"}"#),
        ("foo=~\"a|b\",x!~y", r#"{foo=~"a|b",x!~"y"}"#),
        ("{}", "{}"),
        ("", "{}"),
        (r#"{quote="She said: \"Hi, ladies!\""}"#, r#"{quote="She said: \"Hi, ladies!\""}"#),
        ("\"foo bar\"=\"\\u00e4\"", "{\"foo bar\"=\"\u{e4}\"}"),
        ("f\u{f6}o=b", "{f\u{f6}o=\"b\"}"),
        (r#"""="b""#, r#"{""="b"}"#),
        ("\"a\u{a0}\"=\"\u{2028}\"", r#"{"a\u00a0"="\u2028"}"#),
    ] {
        assert_eq!(shown(text), expected, "{text}");
        assert_eq!(both(text).expect(text).warning, None, "{text}");
    }
}

#[test]
fn what_only_the_classic_grammar_understands_is_taken_with_a_warning() {
    for (text, expected) in [
        ("foo=", r#"{foo=""}"#),
        ("foo=~a!b", r#"{foo=~"a!b"}"#),
        ("foo=a b", r#"{foo="a b"}"#),
        ("foo=\\d", r#"{foo="\\d"}"#),
        ("foo=bar}", r#"{foo="bar"}"#),
    ] {
        assert_eq!(shown(text), expected, "{text}");
        assert!(both(text).expect(text).warning.is_some(), "{text}");
    }
}

#[test]
fn the_classic_meaning_wins_where_both_have_one() {
    // In the UTF-8 grammar \n in quotes is a line feed as well, but \t is a tabulator.
    let parsed = both(r#"foo="a\tb""#).expect("both understand it");
    assert_eq!(parsed.matchers[0].value(), "a\\tb");
    assert!(parsed.warning.expect("they disagree").contains("quote"));
    assert_eq!(parse_matcher(r#"foo="a\tb""#, Grammar::Utf8).expect("valid").value(), "a\tb");
}

#[test]
fn mistakes_are_named() {
    for (text, hint) in [
        ("foo", "bad matcher format: foo"),
        ("=bar", "bad matcher format: =bar"),
        ("foo=\"bar", "unescaped double quote"),
        ("foo=b\"ar", "unescaped double quote"),
        ("foo=~\"(\"", "error parsing regexp: missing closing ): `^(?:()$`"),
        ("foo=~\"[a\"", "error parsing regexp: missing closing ]: `[a)$`"),
        ("1foo=\"a\"\"", "bad matcher format"),
    ] {
        let error = both(text).expect_err(text).to_string();
        assert!(error.contains(hint), "{text}: {error}");
    }
    let utf8 = |text| parse_matchers(text, Grammar::Utf8).expect_err(text).to_string();
    assert_eq!(utf8("{foo=bar"), "end of input: expected close brace");
    assert_eq!(utf8("foo=bar}"), "column 8: }: expected opening brace");
    assert_eq!(utf8("foo="), "end of input: expected label value");
    assert_eq!(utf8("foo=bar baz"), "column 9: baz: expected a comma or close brace");
    assert!(utf8("foo=\"a").ends_with("missing end \""));
    let failed = "failed to create matcher: error parsing regexp: unexpected ): `^(?:a))$`";
    assert_eq!(utf8("foo=~\"a)\""), failed);
    assert!(utf8(&"x".repeat(MATCHERS_BYTES_MAX + 1)).contains("more than"));
}

#[test]
fn single_matchers_have_no_braces() {
    assert!(parse_matcher("{a=b}", Grammar::Fallback).is_err());
    assert!(parse_matcher("a=b,c=d", Grammar::Utf8).is_err());
    assert_eq!(parse_matcher("a=b,c=d", Grammar::Fallback).expect("classic").value(), "b,c=d");
    assert_eq!(parse_matcher(" a =~ \"b\" ", Grammar::Fallback).expect("valid").value(), "b");
    assert!(parse_matcher("\"a b\"=c", Grammar::Fallback).is_ok());
}

#[test]
fn sorting_is_by_name_value_and_operator() {
    let mut all = both("b=1,a!=2,a=2,a=1").expect("valid").matchers;
    sort_matchers(&mut all);
    assert_eq!(MatcherList(&all).to_string(), r#"{a="1",a="2",a!="2",b="1"}"#);
}

#[test]
fn what_is_displayed_reads_back() {
    for text in ["a=\"b\\\\c\\\"d\\ne\"", "\"a=b\"=\"c\"", "x=~\"a.*\""] {
        let first = both(text).expect(text).matchers;
        let again = both(&MatcherList(&first).to_string()).expect("displayed").matchers;
        assert_eq!(first, again, "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn what_is_read_is_read_again_from_its_own_text(text in "[{}a :,=!~\"\\\\\n\tn|*\u{e4}]{0,14}") {
        for grammar in [Grammar::Fallback, Grammar::Utf8, Grammar::Classic] {
            let Ok(parsed) = parse_matchers(&text, grammar) else { continue };
            let written = MatcherList(&parsed.matchers).to_string();
            let again = parse_matchers(&written, grammar);
            proptest::prop_assert_eq!(again, Ok(Parsed { warning: None, ..parsed }), "{}", written);
        }
    }
}

#[test]
fn patterns_are_those_of_alertmanager() {
    let matches = |text: &str, value: &str| both(text).expect(text).matchers[0].matches(value);
    assert!(matches(r#"path=~"/api/{id}/.*""#, "/api/{id}/x"));
    assert!(!matches(r#"a=~".*""#, "two\nlines"), "a dot is no line feed");
    assert!(matches(r#"a!~".+""#, "two\nlines"));
    assert!(matches(r#"a=~"\\d+""#, "12") && !matches(r#"a=~"\\d+""#, "\u{661}"));
}
