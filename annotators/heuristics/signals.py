"""The signals: what is measured of each text, with the column that carries it.

A kernel writes one row of `float64` a text, in the order below; the numbers are the places in that
row. Rules decide on the `float64`; columns are narrower (a ratio keeps 24 bits). All ratios are 0
where their denominator is.
"""

import pyarrow as pa

# fmt: off
(
    GOPHER_NUM_CHARACTERS, GOPHER_NUM_WORDS, GOPHER_MEAN_WORD_LENGTH, GOPHER_HASH_RATIO,
    GOPHER_ELLIPSIS_RATIO, GOPHER_BULLET_LINES, GOPHER_ELLIPSIS_LINES, GOPHER_ALPHA_WORDS,
    GOPHER_STOP_WORDS, GOPHER_DUP_PARA_FRAC, GOPHER_DUP_PARA_CHAR_FRAC, GOPHER_DUP_LINE_FRAC,
    GOPHER_DUP_LINE_CHAR_FRAC, GOPHER_TOP_2_GRAM, GOPHER_TOP_3_GRAM, GOPHER_TOP_4_GRAM,
    GOPHER_DUP_5_GRAM, GOPHER_DUP_6_GRAM, GOPHER_DUP_7_GRAM, GOPHER_DUP_8_GRAM, GOPHER_DUP_9_GRAM,
    GOPHER_DUP_10_GRAM, C4_NUM_LINES, C4_NUM_SENTENCES, C4_CURLY_BRACKET, C4_LOREM_IPSUM,
    C4_TERMINAL_PUNCT_LINES, C4_SHORT_LINES, C4_LONG_WORD_LINES, C4_JAVASCRIPT_LINES,
    C4_POLICY_LINES, C4_LONG_LINES, FINEWEB_NUM_LINES, FINEWEB_LINE_PUNCT_RATIO,
    FINEWEB_SHORT_LINE_RATIO, FINEWEB_CHAR_DUP_RATIO, FINEWEB_NEW_LINE_RATIO,
) = range(37)
# fmt: on

SIGNALS: tuple[tuple[str, pa.DataType], ...] = (
    ("gopher_num_characters", pa.int32()),  # code points
    ("gopher_num_words", pa.int32()),  # tokens but for those of symbols alone
    ("gopher_mean_word_length", pa.float32()),  # code points a word
    ("gopher_hash_ratio", pa.float32()),  # "#" by tokens
    ("gopher_ellipsis_ratio", pa.float32()),  # "..." and U+2026 by tokens
    ("gopher_bullet_lines", pa.float32()),  # share of lines that start with "-" or U+2022
    ("gopher_ellipsis_lines", pa.float32()),  # share of lines that end with "..." or U+2026
    ("gopher_alpha_words", pa.float32()),  # share of tokens with a letter
    ("gopher_stop_words", pa.int32()),  # different stop words found; null without a list
    ("gopher_dup_para_frac", pa.float32()),
    ("gopher_dup_para_char_frac", pa.float32()),
    ("gopher_dup_line_frac", pa.float32()),
    ("gopher_dup_line_char_frac", pa.float32()),
    ("gopher_top_2_gram", pa.float32()),  # characters of the top 2-gram by all characters
    ("gopher_top_3_gram", pa.float32()),
    ("gopher_top_4_gram", pa.float32()),
    ("gopher_dup_5_gram", pa.float32()),  # characters in repeated 5-grams by all characters
    ("gopher_dup_6_gram", pa.float32()),
    ("gopher_dup_7_gram", pa.float32()),
    ("gopher_dup_8_gram", pa.float32()),
    ("gopher_dup_9_gram", pa.float32()),
    ("gopher_dup_10_gram", pa.float32()),
    ("c4_num_lines", pa.int32()),  # lines that are not blank
    ("c4_num_sentences", pa.int32()),  # in the lines that C4 would keep
    ("c4_curly_bracket", pa.bool_()),
    ("c4_lorem_ipsum", pa.bool_()),
    ("c4_terminal_punct_lines", pa.float32()),  # share of lines that are not blank, as below
    ("c4_short_lines", pa.float32()),  # under 3 words
    ("c4_long_word_lines", pa.float32()),  # with a word of over 1000 characters
    ("c4_javascript_lines", pa.float32()),
    ("c4_policy_lines", pa.float32()),
    ("c4_long_lines", pa.int32()),  # lines of 200 characters or more
    ("fineweb_num_lines", pa.int32()),  # lines that are not blank
    ("fineweb_line_punct_ratio", pa.float32()),
    ("fineweb_short_line_ratio", pa.float32()),
    ("fineweb_char_dup_ratio", pa.float32()),
    ("fineweb_new_line_ratio", pa.float32()),  # new lines by tokens
)
