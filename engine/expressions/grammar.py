"""The grammar, in Lark's notation, and the words it reserves.

LALR(1) with a contextual lexer, which is why one character may be two terminals: `*` multiplies
between operands and is a wildcard in brackets. Path segments are lexed with their dot, so that
`$.input.default` names a member although `default` is a word, and so that no space may stand
within a segment (RFC 9535 §2.5). Operators stand loosest first.
"""

from __future__ import annotations

from typing import Final

RESERVED_WORDS: Final[frozenset[str]] = frozenset(
    {"and", "default", "else", "false", "if", "in", "not", "null", "or", "true"}
)
"""Words that cannot name a step, a variable, a branch or an alternative."""

GRAMMAR: Final = r"""
start: expression

?expression: fallback
    | fallback _IF fallback _ELSE expression      -> conditional
?fallback: disjunction
    | disjunction (_DEFAULT disjunction)+         -> default
?disjunction: conjunction
    | conjunction (_OR conjunction)+              -> or_
?conjunction: inversion
    | inversion (_AND inversion)+                 -> and_
?inversion: comparison
    | _NOT inversion                              -> not_
?comparison: sum
    | sum (compare_op sum)+                       -> compare
!compare_op: COMPARE | IN | NOT_IN
?sum: product
    | sum (PLUS | MINUS) product                  -> arithmetic
?product: unary
    | product MUL unary                           -> arithmetic
?unary: primary
    | MINUS unary                                 -> negative
?primary: NUMBER                                  -> number
    | STRING                                      -> string
    | TRUE                                        -> constant
    | FALSE                                       -> constant
    | NULL                                        -> constant
    | NAME                                        -> bare_name
    | NAME "(" [expression ("," expression)*] ")" -> call
    | "[" [expression ("," expression)*] "]"      -> list
    | "{" [entry ("," entry)*] "}"                -> object
    | "(" expression ")"
    | path
entry: STRING ":" expression

path: ROOT segment*
relative: AT segment*
segment: DOT_NAME
    | DOT_STAR
    | DDOT_NAME
    | DDOT_STAR
    | "[" selector ("," selector)* "]"            -> bracket
    | _DDOT "[" selector ("," selector)* "]"      -> descendant_bracket
?selector: STRING                                 -> name
    | INT                                         -> index
    | [INT] COLON [INT] [COLON [INT]]             -> slice
    | STAR                                        -> wildcard
    | "?" condition                               -> filter

?condition: f_conjunction
    | f_conjunction (_OR f_conjunction)+          -> or_
?f_conjunction: f_inversion
    | f_inversion (_AND f_inversion)+             -> and_
?f_inversion: f_basic
    | _NOT f_inversion                            -> not_
?f_basic: f_operand
    | f_operand f_op f_operand                    -> compare
    | "(" condition ")"
!f_op: COMPARE
?f_operand: path
    | relative
    | NUMBER                                      -> number
    | F_NUMBER                                    -> number
    | STRING                                      -> string
    | TRUE                                        -> constant
    | FALSE                                       -> constant
    | NULL                                        -> constant
    | NAME                                        -> bare_name
    | NAME "(" [f_operand ("," f_operand)*] ")"   -> call

ROOT: "$"
AT: "@"
DOT_NAME: /\.[A-Za-z_\x80-\uD7FF\uE000-\U0010FFFF][0-9A-Za-z_\x80-\uD7FF\uE000-\U0010FFFF]*/
DDOT_NAME: /\.\.[A-Za-z_\x80-\uD7FF\uE000-\U0010FFFF][0-9A-Za-z_\x80-\uD7FF\uE000-\U0010FFFF]*/
DOT_STAR: /\.\*/
DDOT_STAR: /\.\.\*/
_DDOT: /\.\.(?=\[)/
STAR: "*"
COLON: ":"
INT: /0(?![0-9])|-?[1-9][0-9]*/
NUMBER: /(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![0-9A-Za-z_])/
F_NUMBER: /-(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![0-9A-Za-z_])/
STRING: /"(?:[^"\\\x00-\x1f]|\\[^\x00-\x1f])*"|'(?:[^'\\\x00-\x1f]|\\[^\x00-\x1f])*'/
COMPARE: /[=!]=|[<>]=?/
NOT_IN.3: /not[ \t\r\n]+in(?![0-9A-Za-z_])/
IN.2: /in(?![0-9A-Za-z_])/
_NOT.2: /!(?!=)|not(?![0-9A-Za-z_])/
_AND.2: /&&|and(?![0-9A-Za-z_])/
_OR.2: /\|\||or(?![0-9A-Za-z_])/
_IF.2: /if(?![0-9A-Za-z_])/
_ELSE.2: /else(?![0-9A-Za-z_])/
_DEFAULT.2: /default(?![0-9A-Za-z_])/
TRUE.2: /true(?![0-9A-Za-z_])/
FALSE.2: /false(?![0-9A-Za-z_])/
NULL.2: /null(?![0-9A-Za-z_])/
NAME: /[A-Za-z_][0-9A-Za-z_]*/
PLUS: "+"
MINUS: "-"
MUL: /\/\/|[*\/%]/
%ignore /[ \t\r\n]+/
"""
