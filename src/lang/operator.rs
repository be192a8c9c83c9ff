//! The operators between two operands: how they are written and how tightly they bind. Expressions and scripts share them.

/// The binary operators that evaluate both sides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum BinaryOp {
    Mul,
    Div,
    Rem,
    Add,
    Sub,
    Shl,
    Shr,
    Lt,
    Gt,
    Le,
    Ge,
    Eq,
    Ne,
    And,
    Xor,
    Or,
}

/// Any operator that stands between two operands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Infix {
    /// One that evaluates both sides.
    Binary(BinaryOp),
    /// One that looks at the right side only where the left does not decide.
    Logical(Logical),
}

/// The operators that decide by the left side where they can.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Logical {
    /// `&&`.
    And,
    /// `||`.
    Or,
}

impl BinaryOp {
    /// The operator that is written so.
    pub fn parse(text: &str) -> Option<BinaryOp> {
        use BinaryOp::*;
        Some(match text {
            "*" => Mul,
            "/" => Div,
            "%" => Rem,
            "+" => Add,
            "-" => Sub,
            "<<" => Shl,
            ">>" => Shr,
            "<" => Lt,
            ">" => Gt,
            "<=" => Le,
            ">=" => Ge,
            "==" => Eq,
            "!=" => Ne,
            "&" => And,
            "^" => Xor,
            "|" => Or,
            _ => return None,
        })
    }

    /// The operator inside `+=` and the like.
    pub fn parse_compound(text: &str) -> Option<BinaryOp> {
        let op = BinaryOp::parse(text.strip_suffix('=')?)?;
        // `<=` and `==` are comparisons.
        BinaryOp::parse(text).is_none().then_some(op)
    }

    /// How it is written.
    pub fn text(self) -> &'static str {
        use BinaryOp::*;
        match self {
            Mul => "*",
            Div => "/",
            Rem => "%",
            Add => "+",
            Sub => "-",
            Shl => "<<",
            Shr => ">>",
            Lt => "<",
            Gt => ">",
            Le => "<=",
            Ge => ">=",
            Eq => "==",
            Ne => "!=",
            And => "&",
            Xor => "^",
            Or => "|",
        }
    }

    /// Whether its value is a truth.
    pub fn is_comparison(self) -> bool {
        use BinaryOp::*;
        matches!(self, Lt | Gt | Le | Ge | Eq | Ne)
    }
}

impl Infix {
    /// The operator that is written so.
    pub fn parse(text: &str) -> Option<Infix> {
        match text {
            "&&" => Some(Infix::Logical(Logical::And)),
            "||" => Some(Infix::Logical(Logical::Or)),
            _ => BinaryOp::parse(text).map(Infix::Binary),
        }
    }

    /// How tightly it binds, from 1: C's order.
    pub fn precedence(self) -> u8 {
        use BinaryOp::*;
        match self {
            Infix::Binary(Mul | Div | Rem) => 10,
            Infix::Binary(Add | Sub) => 9,
            Infix::Binary(Shl | Shr) => 8,
            Infix::Binary(Lt | Gt | Le | Ge) => 7,
            Infix::Binary(Eq | Ne) => 6,
            Infix::Binary(And) => 5,
            Infix::Binary(Xor) => 4,
            Infix::Binary(Or) => 3,
            Infix::Logical(Logical::And) => 2,
            Infix::Logical(Logical::Or) => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        for text in ["*", "/", "%", "+", "-", "<<", ">>", "<", ">", "<=", ">=", "==", "!=", "&", "^", "|"] {
            assert_eq!(BinaryOp::parse(text).map(BinaryOp::text), Some(text));
        }
        assert_eq!(BinaryOp::parse_compound("<<="), Some(BinaryOp::Shl));
        for text in ["=", "<=", ">=", "==", "!=", "&&", "~"] {
            assert_eq!(BinaryOp::parse_compound(text), None, "{text}");
        }
    }
}
