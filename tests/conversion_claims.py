"""What formats say of themselves, and the tests that show it: every note has one, by the words it begins with."""

from dataclasses import replace

from tests.conversion_rows import (
    EDIT,
    EIGHT,
    GENERATE,
    REASON,
    REUSED,
    TEXT,
    TURNS,
    TWO_DRAWINGS,
    TWO_EDITS,
    UNDERSTAND,
    WEB,
    make,
    picture,
)

# Note, from its beginning -> file, without "test_conversion_", and name of a test.
NOTES = {
    "the trainer pads inputs with -100": (
        "emu::test_anole_trains_every_token_and_pads_a_batch_with_what_no_embedding_has"
    ),
    "`stored=FOLDER` gives": "stored::test_anole_tokens_hold_the_stored_ids_of_every_picture_in_its_place",
    "`stored=FOLDER` takes": "stored::test_emu3_features_from_stored_ids_are_the_codes_of_the_model",
    "`num_used_data` counts": "bagel::test_bagel_config_uses_all_rows",
    "files are dealt out whole": "bagel::test_bagel_config_uses_all_rows",
    "row groups are dealt out whole": "bagel::test_bagel_config_uses_all_rows",
    "pictures above 40 million": "bagel::test_bagel_t2i_refuses_pictures_its_reader_skips_for_size",
    "the reader trains on random pieces": "bagel::test_bagel_edit_gives_its_reader_whole_instructions",
    "a sample of more than": "bagel_interleaved::test_thinkmorph_rows_longer_than_the_trainer_takes_are_warned_of",
    "texts of answers get": (
        "bagel_interleaved::test_thinkmorph_would_draw_as_many_pictures_as_the_answer_has_but_not_without_markers"
    ),
    "an answer that opens with a picture": (
        "bagel_interleaved::test_thinkmorph_refuses_rows_its_reader_has_no_place_for"
    ),
    "the final answer is the last text": (
        "bagel_interleaved::test_zebra_refuses_rows_that_its_reader_skips_or_trains_an_empty_answer_of"
    ),
    "the reader wraps each text": "bagel_interleaved::test_zebra_warns_of_thoughts_whose_number_its_reader_deletes",
    "a picture that opens the answer": (
        "bagel_interleaved::test_zebra_sees_every_text_and_picture_of_question_trace_and_answer"
    ),
    "a text that holds what reads as a reference": (
        "bagel_interleaved::test_zebra_refuses_rows_that_its_reader_skips_or_trains_an_empty_answer_of"
    ),
    "a chain of edits becomes": "edits::test_omnigen2_sees_text_inputs_and_output_also_of_text_to_image",
    "paths are relative to OUT": "edits::test_paths_begin_with_root_where_they_are_opened_as_they_stand",
    "more than 4 input pictures": "edits::test_omnigen2_has_no_size_for_a_fifth_input",
    "the reader deletes `The image shows`": "edits::test_omnigen2_sees_text_inputs_and_output_also_of_text_to_image",
    "`edit_image` is a list": "edits::test_diffsynth_sees_text_inputs_and_output",
    "FLUX.1 Kontext reads the first": (
        "edits::test_musubi_sees_text_controls_and_picture_and_kontext_the_first_control_only"
    ),
    "files that are not jpg": "edits::test_ai_toolkit_refuses_files_that_it_would_not_find",
    "the reader puts a second blank": "edits::test_ai_toolkit_sees_text_controls_and_picture",
    "one question and one answer": "emu::test_emu35_refuses_several_turns_and_pictures_it_cannot_measure",
    "the viewer shows the first picture": "emu::test_emu35_viewer_shows_the_first_picture_of_a_question_only",
    "pictures that stand elsewhere": "finevision::test_nano_vlm_sees_pictures_questions_and_answers",
    "a system message is put in front of the first question": (
        "finevision::test_nano_vlm_sees_pictures_questions_and_answers"
    ),
    "the reader deletes `<|image|>`": "finevision::test_nano_vlm_sees_pictures_questions_and_answers",
    "a text that holds `<image_placeholder>`": (
        "edits::test_janus_refuses_texts_with_tokens_by_which_it_finds_pictures"
    ),
    "a picture that is alone in its turn": "llava::test_llava_counts_the_images_its_reader_moves",
    "a system message is put in front of the first user turn": (
        "llava::test_llava_puts_a_system_message_in_front_of_the_first_turn_and_counts_it"
    ),
    "a row whose text holds ` ASSISTANT: `": "llava::test_llava_15_warns_of_rows_whose_loss_its_reader_drops",
    "JSON Lines are read through mixture.yaml": "llava::test_llava_next_reads_json_lines_through_its_mixture_only",
    "the trainer deletes `QA_GT": "llava::test_llava_warns_of_the_phrase_that_next_deletes",
    "the trainer takes the next row": "llava::test_llava_next_warns_of_rows_that_its_reader_replaces",
    "special tokens in a text, such as `<|im_end|>`": "llava::test_llava_next_warns_of_special_tokens_in_text",
    "a literal `<image>` or special token": "trl::test_trl_stops_at_a_literal_tag_in_a_text",
    "chat templates of Qwen3-VL": "trl::test_chat_templates_of_some_models_drop_images_in_answers",
    "picture paths are relative to OUT": "messages::test_paths_of_ms_swift_begin_with_root",
    "special tokens in a text, such as `<|image_pad|>`": "messages::test_special_tokens_in_text_are_warned_of",
    "its BAGEL reader shows": "messages::test_lmms_engine_rows_whose_pictures_later_tokens_cannot_see_are_warned_of",
    "paths in lmms-engine.yaml": "messages::test_lmms_engine_sees_every_picture_in_its_place_answers_included",
    "a row is of task mm_t2i": "sensenova::test_sensenova_reads_every_row_under_the_task_that_trains_it",
    "rows that the reader would skip": "sensenova::test_sensenova_refuses_what_its_reader_skips",
    "literal `<image>` in text": "sensenova::test_sensenova_reads_every_row_under_the_task_that_trains_it",
    "the JSON names the members": "webdataset::test_json_holds_every_column_and_names_the_members",
    '`load_dataset("webdataset"': (
        "webdataset::test_datasets_without_the_features_drops_pictures_which_is_why_they_are_published"
    ),
    "`energon prepare` with": (
        "energon::test_energon_prepares_and_loads_every_picture_in_its_place_and_not_after_other_choices"
    ),
    "BLIP3o fails on tars": "webdataset::test_blip3o_reads_pairs_of_any_format_once_they_are_encoded_as_jpg",
    "`images=jpg` encodes": (
        "webdataset::test_pairs_keep_the_bytes_of_a_jpeg_and_put_white_behind_what_is_transparent"
    ),
}

# Profile -> the test that reads its output as "read by" does: with the consumer's own code, or by its rules, told anew.
READ_BY = {
    ("anole", "raw"): "emu::test_anole_raw_is_what_sft_tokenization_reads",
    ("anole", "tokens"): "emu::test_anole_trains_every_token_and_pads_a_batch_with_what_no_embedding_has",
    ("bagel", "t2i"): "bagel::test_bagel_t2i_has_bytes_and_captions_as_a_json_object_in_a_string",
    ("bagel", "edit"): "bagel::test_bagel_edit_gives_its_reader_whole_instructions",
    ("bagel", "vlm"): "bagel::test_bagel_vlm_has_as_many_slots_as_pictures_and_no_tag_in_answers",
    ("bagel-interleaved", "thinkmorph"): (
        "bagel_interleaved::test_thinkmorph_sees_text_and_pictures_of_the_answer_in_turn_with_the_marks_of_its_own_data"
    ),
    ("bagel-interleaved", "zebra-cot"): (
        "bagel_interleaved::test_zebra_sees_every_text_and_picture_of_question_trace_and_answer"
    ),
    ("diffusers", "text-to-image"): "diffusion::test_diffusers_text_to_image_loads_with_image_and_text",
    ("diffusers", "edit"): "diffusion::test_diffusers_edit_loads_with_the_columns_of_instruct_pix2pix",
    ("edit-triples", "omnigen2"): "edits::test_omnigen2_sees_text_inputs_and_output_also_of_text_to_image",
    ("edit-triples", "diffsynth-qwen"): "edits::test_diffsynth_sees_text_inputs_and_output",
    ("edit-triples", "diffsynth-qwen-2509"): "edits::test_diffsynth_sees_text_inputs_and_output",
    ("edit-triples", "diffsynth-flux"): "edits::test_diffsynth_sees_text_inputs_and_output",
    ("edit-triples", "musubi"): "edits::test_musubi_sees_text_controls_and_picture_and_kontext_the_first_control_only",
    ("edit-triples", "ai-toolkit"): "edits::test_ai_toolkit_sees_text_controls_and_picture",
    ("emu3", "raw"): "emu::test_emu3_raw_is_the_list_prepare_data_reads_one_entry_per_output_image",
    ("emu3", "tokens"): "emu::test_emu3_tokens_load_with_weights_only_and_format_as_its_dataset_does",
    ("emu35", "story"): "emu::test_emu35_story_reads_in_protobuf_with_text_and_images_in_order",
    ("finevision", "vqa"): "finevision::test_nano_vlm_sees_pictures_questions_and_answers",
    ("janus", "sft"): "edits::test_janus_sees_text_inputs_and_output",
    ("llava", "v15"): "llava::test_llava_rows_keep_the_rules_of_their_reader",
    ("llava", "next"): "llava::test_llava_rows_keep_the_rules_of_their_reader",
    ("messages", "openai"): "messages::test_openai_blocks_name_picture_files_in_their_place",
    ("messages", "trl"): "trl::test_trl_collates_every_picture_in_its_place_and_a_tiny_model_trains_on_it",
    ("messages", "ms-swift"): "trainers::test_ms_swift_reads_every_picture_in_its_place",
    ("messages", "llama-factory"): "trainers::test_llama_factory_converts_and_accepts_every_row",
    ("messages", "lmms-engine"): "messages::test_lmms_engine_sees_every_picture_in_its_place_answers_included",
    ("sensenova", "u1"): "sensenova::test_sensenova_reads_every_row_under_the_task_that_trains_it",
    ("webdataset", "rows"): "webdataset::test_webdataset_sees_every_picture_in_its_place",
    ("webdataset", "pairs"): "webdataset::test_pairs_are_what_show_o_picks_from_a_sample",
}

FUSE = make(
    "ie-00000004",
    "image_editing",
    ("user", "*|*|Both in one."),
    ("assistant", "*"),
    pictures="red blue green",
    roles="iio",
)
COMPARE = make(
    "mrm-00000003",
    "mm_reasoning_mm",
    ("user", "*|*|Which is larger?"),
    ("assistant", "Look:|*|The left."),
    pictures="red blue green",
    roles="iim",
)
# Rows by what they hold: pictures in the prompt > pictures in the answer, "mid" for one inside a rationale.
SHAPES = {
    "0>0": TEXT,
    "1>0": UNDERSTAND,
    "2 turns 2>0": TURNS,
    "0>1": GENERATE,
    "0>mid": REASON,
    "0>3": replace(WEB, images=tuple(map(picture, ("red", "green", "blue")))),  # a GIF is refused for another reason
    "1>mid,1": EDIT,
    "1>2 mid": REUSED,
    "4>4 mid": EIGHT,
    "2>1": FUSE,
    "2>mid": COMPARE,
    "2 turns 1>1,1": TWO_EDITS,
    "2 turns 0>1,1": TWO_DRAWINGS,
}
_ALL = set(SHAPES)
_ANSWERS_OF_TEXT = {"0>0", "1>0", "2 turns 2>0"}
_FROM_TEXT = {"0>1", "2 turns 0>1,1"}
_ONE_EDIT = {"1>mid,1", "2 turns 1>1,1"}
# What "pictures in prompts" and "pictures in answers" come to: the rows that a profile holds, any other is refused.
FITS = {
    ("anole", "raw"): _FROM_TEXT | {"0>3"},
    ("anole", "tokens"): _ALL,
    ("bagel", "t2i"): _FROM_TEXT | {"0>3"},
    ("bagel", "edit"): _ONE_EDIT,
    ("bagel", "vlm"): _ANSWERS_OF_TEXT,
    ("bagel-interleaved", "thinkmorph"): {"1>0", "1>mid,1", "1>2 mid"},
    ("bagel-interleaved", "zebra-cot"): {"0>mid", "2>mid"},
    ("diffusers", "text-to-image"): _FROM_TEXT | {"0>3"},
    ("diffusers", "edit"): _ONE_EDIT,
    ("edit-triples", "omnigen2"): _FROM_TEXT | _ONE_EDIT | {"2>1"},
    ("edit-triples", "diffsynth-qwen"): _ONE_EDIT,
    ("edit-triples", "diffsynth-qwen-2509"): _ONE_EDIT | {"2>1"},
    ("edit-triples", "diffsynth-flux"): _ONE_EDIT | {"2>1"},
    ("edit-triples", "musubi"): _ONE_EDIT | {"2>1"},
    ("edit-triples", "ai-toolkit"): _ONE_EDIT | {"2>1"},
    ("emu3", "raw"): _FROM_TEXT | {"0>3"},
    ("emu3", "tokens"): _FROM_TEXT | {"0>3"},
    ("emu35", "story"): _ALL - {"2 turns 2>0", "2 turns 1>1,1", "2 turns 0>1,1"},
    ("finevision", "vqa"): _ANSWERS_OF_TEXT,
    ("janus", "sft"): _FROM_TEXT | _ONE_EDIT | {"2>1"},
    ("llava", "v15"): {"0>0", "1>0", "0>1", "0>mid"},
    ("llava", "next"): _ALL,
    ("messages", "openai"): _ALL,
    ("messages", "trl"): _ALL,
    ("messages", "ms-swift"): _ALL,
    ("messages", "llama-factory"): _ALL,
    ("messages", "lmms-engine"): _ALL,
    ("sensenova", "u1"): _ALL,
    ("webdataset", "rows"): _ALL,
    ("webdataset", "pairs"): _FROM_TEXT | {"0>3"},
}
# With answers of pictures told to come as context.
OPTIONS = {("llava", "v15"): {"output_images": "context"}, ("llava", "next"): {"output_images": "context"}}
