use super::fake::{Fake, BASE};
use super::*;
use crate::base::{MemError, VirtAddr};

struct Symbols;

impl Labels for Symbols {
    fn label(&self, at: VirtAddr) -> Option<Label> {
        let offset = at.0.checked_sub(0x401000).filter(|offset| *offset < 0x100)?;
        Some(Label { name: "main".to_owned(), offset })
    }
}

fn evaluate(text: &str) -> Result<Value, LangError> {
    let fake = Fake::new();
    Expression::compile(text, &fake)?.evaluate(&fake)
}

fn shown(text: &str, format: Format) -> String {
    match evaluate(text) {
        Ok(value) => format_labelled(&value, format, &Fake::new(), &Symbols),
        Err(error) => format!("error {error}"),
    }
}

fn fault(text: &str) -> (Fault, String) {
    let error = evaluate(text).expect_err(text);
    (error.fault, error.span.of(text).to_owned())
}

const PRINTED: &[(&str, &str)] = &[
    ("1+2*3", "7"),
    ("(1+2)*3", "9"),
    ("10-3-2", "5"),
    ("1'000_000 + 0x_f", "1000015"),
    ("0b101 + 0o17 + 017", "35"),
    ("-7/2", "-3"),
    ("-7%3", "-1"),
    ("7/2.0", "3.5"),
    ("1/3.0", "0.33333333333333331"),
    ("1.0f/3", "0.333333343"),
    ("1e20", "1e+20"),
    ("1e-5", "1.0000000000000001e-05"),
    ("5.0", "5"),
    (".5", "0.5"),
    ("1/0.0", "inf"),
    ("2147483647+1", "-2147483648"),
    ("2147483648", "2147483648"),
    ("0x80000000 < 0", "0"),
    ("-1 < 1u", "0"),
    ("-1L < 1u", "1"),
    ("18446744073709551615", "18446744073709551615"),
    ("-2147483648 / -1", "2147483648"),
    ("(int)0x80000000 / -1", "-2147483648"),
    ("1 << 4 | 3", "19"),
    ("-8 >> 1", "-4"),
    ("1 << 40", "0"),
    ("1L << 40", "1099511627776"),
    ("~0", "-1"),
    ("!5", "0"),
    ("!!5", "1"),
    ("- - 5", "5"),
    ("5 == 5 && 3 < 2 || 1", "1"),
    ("6 & 3 == 3", "0"),
    ("1 ? 2 : 3 ? 4 : 5", "2"),
    ("0 ? 2 : 3 ? 4 : 5", "4"),
    ("1 ? 1 : 2.0", "1"),
    ("(1 ? 1 : 2.0) / 2", "0.5"),
    ("(unsigned char)300", "44 ','"),
    ("(char)200", "-56 '\\310'"),
    ("(uint8_t)-1", "255 '\\377'"),
    ("'a'", "97 'a'"),
    ("'\\n'", "10 '\\n'"),
    ("'\\''", "39 '\\''"),
    ("'\\0'", "0 '\\000'"),
    ("'\\x41' + 1", "66"),
    ("(bool)5", "true"),
    ("true + true", "2"),
    ("false", "false"),
    ("(short)0x18000", "-32768"),
    ("(unsigned long long)-1", "18446744073709551615"),
    ("(long unsigned int)3", "3"),
    ("(float)0.1", "0.100000001"),
    ("(int)-3.9", "-3"),
    ("(void)1", "void"),
    ("sizeof(int) + sizeof(char*) + sizeof(long long)", "20"),
    ("sizeof *(short*)0", "2"),
    ("sizeof(1/0)", "4"),
    ("$rdi", "7"),
    ("arg0 * 2", "14"),
    ("retval", "-1"),
    ("$eax", "-1"),
    ("$al", "-1"),
    ("$xmm0 * 2", "3"),
    ("$pc", "0x401004 <main+4>"),
    ("$sp", "(void *) 0x1000"),
    ("$sp & 0xff0", "0"),
    ("$sp + 8", "(void *) 0x1008"),
    ("$sp == $rsi", "1"),
    ("$1 + $", "84"),
    ("$mine", "0.5"),
    ("(int*)$rsi", "(int *) 0x1000"),
    ("*(int*)$rsi", "-10"),
    ("*(unsigned int *)$rsi", "4294967286"),
    ("{int}$rsi", "-10"),
    ("{unsigned char} ($rsi + 1)", "255 '\\377'"),
    ("*$rsi", "4294967286"),
    ("((char**)$rsi)[1]", "0x1040 \"hello\""),
    ("((char**)$rsi)[1][1]", "101 'e'"),
    ("*((char**)$rsi)[1]", "104 'h'"),
    ("1[(char**)$rsi]", "0x1040 \"hello\""),
    ("(char**)$rsi + 1", "(char **) 0x1008"),
    ("&((char**)$rsi)[1]", "(char **) 0x1008"),
    ("&*(int*)$rsi", "(int *) 0x1000"),
    ("(int*)0x20 - (int*)0x10", "4"),
    ("(int*)0x20 - 2", "(int *) 0x18"),
    ("*(double*)($rsi+16)", "2.5"),
    ("(const char * const)0", "0x0"),
    ("(char*)1", "0x1 <error: Cannot access memory at address 0x1>"),
    ("(char*)$rsi + 0xffd", "0x1ffd \"ab\""),
    ("(char*)0x1100", "0x1100 'x' <repeats 200 times>..."),
    ("main", "0x401000 <main>"),
    ("&main", "0x401000 <main>"),
    ("*main", "0x401000 <main>"),
    ("main+4", "0x401004 <main+4>"),
    ("$pc - main", "4"),
    ("$pc >= main && $pc < main + 16", "1"),
    ("A::B::f", "0x402000"),
    ("::A::B::f", "0x402000"),
    ("A::B::f(int)", "0x402100"),
    ("'A::B::f(int)'", "0x402100"),
    ("&T<int>::g(char) + 1", "0x403001"),
    ("main.main", "0x404000"),
    ("malloc@plt", "0x405000"),
    ("B::~B", "0x406000"),
    ("main<main", "0"),
    ("1?main:argue", "0x401000 <main>"),
    ("1 ? 0 : (int*)4", "(int *) 0x0"),
    ("$_streq($rsi + 64, \"hello\")", "1"),
    ("$_streq(\"hell\", $rsi + 64)", "0"),
    ("$_streq($rsi + 64, \"hello!\")", "0"),
    ("$_streq(\"a\\x62\", \"ab\")", "1"),
    ("$_streq((char*)$rsi + 64, ((char**)$rsi)[1])", "1"),
    ("$_streq($rsi + 64, $rsi + 65)", "0"),
    ("$_strlen($rsi + 64)", "5"),
    ("$_strlen($rsi + 0x100)", "204"),
    ("$_strlen($rsi + 0xffd)", "2"),
    ("$_strlen(\"abc\")", "3"),
    ("nullptr == 0", "1"),
];

#[test]
fn expressions_give_what_c_and_gdb_give() {
    for (text, expected) in PRINTED {
        assert_eq!(shown(text, Format::Natural), *expected, "{text}");
    }
    // The sign of this NaN is the CPU's choice.
    assert!(shown("0.0/0", Format::Natural).ends_with("nan(0x8000000000000)"));
}

#[test]
fn formats_are_those_of_gdb() {
    let table = [
        ("-1", 'x', "0xffffffff"),
        ("(char)-1", 'x', "0xff"),
        ("0", 'x', "0x0"),
        ("1.5", 'x', "0x3ff8000000000000"),
        ("(float)-1.5", 'x', "0xbfc00000"),
        ("5", 'z', "0x00000005"),
        ("10", 't', "1010"),
        ("0", 't', "0"),
        ("8", 'o', "010"),
        ("0", 'o', "0"),
        ("-1", 'u', "4294967295"),
        ("4294967295u", 'd', "-1"),
        ("(char)97", 'd', "97"),
        ("321", 'c', "65 'A'"),
        ("-1", 'c', "-1 '\\377'"),
        ("1", 'f', "1.40129846e-45"),
        ("3L", 'f', "1.4821969375237396e-323"),
        ("(short)3", 'f', "3"),
        ("$pc", 'a', "0x401004 <main+4>"),
        ("5", 'a', "0x5"),
        ("main", 'x', "0x401000"),
        ("((char**)$rsi)[1]", 'x', "0x1040"),
        ("((char**)$rsi)[1]", 's', "0x1040 \"hello\""),
        ("true", 'x', "0x1"),
    ];
    for (text, letter, expected) in table {
        let format = Format::from_letter(letter).expect("a letter");
        assert_eq!(shown(text, format), expected, "{text} /{letter}");
    }
    assert_eq!(Format::from_letter('i'), Err(Fault::BadFormat('i')));
}

#[test]
fn strings_are_quoted_as_gdb_does() {
    assert_eq!(text::quote(b"a\x01\x7f\x80\xc3\xa9\"'\\"), "\"a\\001\\177\\200\u{e9}\\\"'\\\\\"");
    assert_eq!(text::quote(b"xaaaaaaaaaaaaaab"), "\"x\", 'a' <repeats 14 times>, \"b\"");
    assert_eq!(text::quote(b"aaaaaaaaaa"), "\"aaaaaaaaaa\"");
    assert_eq!(text::quote(b""), "\"\"");
}

#[test]
fn faults_point_at_their_cause() {
    let operands = |operator, left, right| Fault::Operands { operator, left, right };
    let table = [
        ("", Fault::Empty, ""),
        ("1 + foo", Fault::NoSymbol("foo".into()), "foo"),
        ("$nope", Fault::NoVariable("nope".into()), "$nope"),
        ("1 +", Fault::Unexpected { wanted: "an expression", found: "the end".into() }, ""),
        ("(1", Fault::Unexpected { wanted: "`)`", found: "the end".into() }, ""),
        ("1 2", Fault::Trailing("`2`".into()), "2"),
        ("1 )", Fault::Trailing("`)`".into()), ")"),
        ("x#", Fault::BadCharacter('#'), "#"),
        ("09", Fault::BadNumber("09".into()), "09"),
        ("1 + 0xg", Fault::BadNumber("0xg".into()), "0xg"),
        ("12abc", Fault::BadNumber("12abc".into()), "12abc"),
        ("1.2.3", Fault::BadNumber("1.2.3".into()), "1.2.3"),
        ("18446744073709551616", Fault::NumberTooLarge, "18446744073709551616"),
        ("2 + (4 / 0)", Fault::DivisionByZero, "4 / 0"),
        ("5 % (1-1)", Fault::DivisionByZero, "5 % (1-1)"),
        ("1 << -1", Fault::NegativeShift, "1 << -1"),
        ("*1.5", Fault::NotPointer(Type::DOUBLE), "*1.5"),
        ("1 + *(void*)$rsi", Fault::NotPointer(Type::VOID_POINTER), "*(void*)$rsi"),
        ("&5", Fault::NoAddress, "&5"),
        ("&$rax", Fault::NoAddress, "&$rax"),
        ("int", Fault::TypeAsValue, "int"),
        ("(unsigned float)1", Fault::BadType, "unsigned float"),
        ("main(1)", Fault::Call, "main("),
        ("\"abc\"", Fault::StringAsValue, "\"abc\""),
        ("\"abc", Fault::UnmatchedQuote("double"), "\""),
        ("'abc", Fault::UnmatchedQuote("single"), "'"),
        ("''", Fault::EmptyCharacter, "''"),
        ("'\\q'", Fault::BadEscape, "\\"),
        ("$rax = 5", Fault::AssignmentInExpression, "="),
        ("$rax += 5", Fault::AssignmentInExpression, "+="),
        ("$_streq($rsi)", Fault::Arguments { name: "$_streq", wanted: 2 }, "$_streq($rsi)"),
        ("$sp * 2", operands("*", Type::VOID_POINTER, Type::INT), "$sp * 2"),
        ("1.5 % 2", operands("%", Type::DOUBLE, Type::INT), "1.5 % 2"),
        ("$sp == 1.5", operands("==", Type::VOID_POINTER, Type::DOUBLE), "$sp == 1.5"),
        ("$rdi[1]", operands("[]", Type::LONG, Type::INT), "$rdi[1]"),
        ("-$sp", Fault::Operand { operator: "-", operand: Type::VOID_POINTER }, "-$sp"),
        ("(void)1 + 1", operands("+", Type::VOID, Type::INT), "(void)1 + 1"),
        ("(double)$sp", Fault::Conversion { from: Type::VOID_POINTER, to: Type::DOUBLE }, "(double)$sp"),
        ("(int*)8 - (char*)4", Fault::PointerDifference, "(int*)8 - (char*)4"),
        ("1 + *(int*)8", Fault::Memory(MemError::Unmapped(VirtAddr(8))), "*(int*)8"),
    ];
    for (text, expected, span) in table {
        assert_eq!(fault(text), (expected, span.to_owned()), "{text}");
    }
}

#[test]
fn hostile_texts_are_refused_without_a_stack_overflow() {
    for unit in
        ["(", "-", "*", "&", "!", "(int)", "1?", "1?1:", "sizeof ", "1+(", "{int}", "a[", "$_strlen(", "1||(", "'"]
    {
        assert!(evaluate(&unit.repeat(1 << 20)).is_err(), "{unit}");
        let short = unit.repeat(lexer::TEXT_LIMIT / unit.len());
        assert!(evaluate(&short).is_err(), "{unit}");
    }
    assert!(matches!(fault(&"(".repeat(1 << 20)).0, Fault::TooLong(_)));
    assert_eq!(fault(&"(".repeat(60_000)).0, Fault::TooDeep);
    let deep = format!("{}1{}", "1+(".repeat(40), ")".repeat(40));
    assert_eq!(fault(&deep).0, Fault::TooDeep);
    let wide = format!("1{}", "+1".repeat(30_000));
    assert_eq!(shown(&wide, Format::Natural), "30001");
    let nested = format!("{}1{}", "(".repeat(80), ")".repeat(80));
    assert_eq!(shown(&nested, Format::Natural), "1");
    let ladder = "1||1&&1|1^1&1==1<1<<1+1*(".repeat(1000);
    assert_eq!(fault(&ladder).0, Fault::TooDeep);
    assert!(evaluate(&format!("(int{})0", "*".repeat(1000))).is_err());
    assert!(evaluate("\u{e9}\u{4e2d}").is_err());
    assert!(evaluate("'\u{e9}'").is_err());
    assert!(evaluate("\\").is_err());
    assert!(evaluate("a<<<<<<<(((").is_err());
}

#[test]
fn every_prefix_of_a_text_is_an_answer() {
    let text = "($rdi ? *(unsigned char*)$rsi : 'a') + \"x\\x41\" A::B::f(int) 'q r' 0x1'0e+5 $_streq(arg0, \"y\") >>= {int}3[2]";
    for end in 0..=text.len() {
        for start in 0..end {
            let _ = evaluate(&text[start..end]);
            let _ = Assignment::compile(&text[start..end], &Fake::new());
        }
    }
}

#[test]
fn the_side_that_does_not_matter_is_not_evaluated() {
    let fake = Fake::new();
    for (text, reads) in [
        ("0 && *(int*)8", 0),
        ("1 || *(int*)8", 0),
        ("1 ? 2 : *(int*)8", 0),
        ("0 ? *(int*)8 : 2", 0),
        ("sizeof *(int*)8", 0),
        ("1 && *(int*)$rsi", 1),
        ("0 || *(int*)$rsi", 1),
    ] {
        fake.reads.set(0);
        Expression::compile(text, &fake).expect(text).evaluate(&fake).expect(text);
        assert_eq!(fake.reads.get(), reads, "{text}");
    }
    assert!(Expression::is_true(&evaluate("0.5").expect("a value")));
    assert!(!Expression::is_true(&evaluate("(int*)0").expect("a value")));
}

#[test]
fn assignments_resolve_to_a_place_and_a_value() {
    let fake = Fake::new();
    let resolve = |text: &str| {
        let (place, value) = Assignment::compile(text, &fake)?.resolve(&fake)?;
        Ok::<_, LangError>((place, value.to_raw()))
    };
    let memory = |offset, size| Place::Memory { at: VirtAddr(BASE + offset), size };
    let table = [
        ("$rax = 5", Place::Register(RegisterName::integer(RegisterId(2), 8)), 5),
        ("$eax = -1", Place::Register(RegisterName::integer(RegisterId(2), 4)), 0xffff_ffff),
        ("$pc = main + 4", Place::Register(RegisterName::code(RegisterId(4))), 0x401004),
        ("$xmm0 = 2", Place::Register(RegisterName { id: RegisterId(5), ty: Type::DOUBLE }), 2f64.to_bits()),
        ("{int}$rsi = 3", memory(0, 4), 3),
        ("*(int*)$rsi = 4 == 4", memory(0, 4), 1),
        ("*(int*)$rsi += 1", memory(0, 4), 0xffff_fff7),
        ("*(int*)$rsi <<= 1", memory(0, 4), 0xffff_ffec),
        ("((char**)$rsi)[1] = 0", memory(8, 8), 0),
        ("((char**)$rsi)[1][2] = 'x'", memory(0x42, 1), 0x78),
        ("*(float*)($rsi + 4) = 1.5", memory(4, 4), u64::from(1.5f32.to_bits())),
        ("$new = $rdi", Place::Variable("new".to_owned()), 7),
        ("$mine *= 2", Place::Variable("mine".to_owned()), 1f64.to_bits()),
    ];
    for (text, place, raw) in table {
        assert_eq!(resolve(text), Ok((place, raw)), "{text}");
    }
    let refusals = [
        ("$rax", Fault::NoAssignment, ""),
        ("5 = 6", Fault::NotAssignable, "5"),
        ("main = 6", Fault::NotAssignable, "main"),
        ("$1 = 6", Fault::NotAssignable, "$1"),
        ("$rax = 1 = 2", Fault::Trailing("`=`".into()), "="),
        ("$rax 5", Fault::Trailing("`5`".into()), "5"),
        ("*(int**)$rsi = 1.5", Fault::Conversion { from: Type::DOUBLE, to: Type::INT.pointer().expect("int*") }, "1.5"),
    ];
    for (text, fault, span) in refusals {
        let error = resolve(text).expect_err(text);
        assert_eq!((error.fault, error.span.of(text)), (fault, span), "{text}");
    }
    let word = Expression::compile("*(short*)($rsi + 2)", &fake).expect("an expression");
    assert_eq!(word.place(&fake), Ok(Some(memory(2, 2))));
}

#[test]
fn examine_formats_carry_over() {
    let start = ExamineFormat::default();
    let values = |count, format, unit| ExamineFormat { count, kind: ExamineKind::Values(format), unit };
    let parse = |text, last| ExamineFormat::parse(text, last);
    let giants = parse("4xg", start).expect("a format");
    assert_eq!(giants, values(4, Format::Hex, Unit::Giant));
    assert_eq!(parse("", giants), Ok(values(1, Format::Hex, Unit::Giant)));
    assert_eq!(parse("8", giants), Ok(values(8, Format::Hex, Unit::Giant)));
    assert_eq!(parse("2bd", giants), Ok(values(2, Format::Decimal, Unit::Byte)));
    assert_eq!(parse("c", giants), Ok(values(1, Format::Char, Unit::Byte)));
    assert_eq!(parse("a", start), Ok(values(1, Format::Address, Unit::Giant)));
    assert_eq!(parse("f", values(1, Format::Hex, Unit::Byte)), Ok(values(1, Format::Float, Unit::Giant)));
    assert_eq!(parse("f", start).map(ExamineFormat::unit_type), Ok(Some(Type::FLOAT)));
    assert_eq!(parse("3i", start).map(|format| format.kind), Ok(ExamineKind::Instructions));
    assert_eq!(parse("s", start).map(|format| format.unit), Ok(Unit::Byte));
    assert_eq!(parse("4q", start), Err(Fault::BadFormat('q').at(Span::new(1, 2))));
    assert_eq!(parse("99999999999x", start), Err(Fault::BadCount.at(Span::new(0, 11))));
}
