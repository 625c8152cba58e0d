"""The vocabulary of tasks, what is published about the nine, and tasks of others."""

import pytest

from toolkit.errors import UnknownName, UsageError
from toolkit.published import PUBLISHED, published_rows
from toolkit.tasks import (
    CONFIGS,
    FAMILIES,
    KNOWN_TASKS,
    QUADRANTS,
    TASKS,
    Task,
    configs_of,
    describe_tasks,
    find_task,
    in_order,
    task_named,
    tasks_of,
)


def test_published_counts_sum_to_what_the_paper_reports():
    assert list(PUBLISHED) == list(TASKS)
    assert published_rows(PUBLISHED) == 247_215
    assert published_rows(name for name in PUBLISHED if TASKS[name].family != "understanding") == 127_215
    assert published_rows(["llava_cot", "painting"]) == 60_000


def test_every_task_has_a_known_quadrant_and_its_own_prefix_and_archive():
    assert {task.quadrant for task in TASKS.values()} == set(QUADRANTS)
    archives = [published.archive for published in PUBLISHED.values() if published.archive]
    for values in ([task.prefix for task in TASKS.values()], archives):
        assert len(set(values)) == len(values)


def test_configs_are_all_the_families_of_several_tasks_and_the_tasks():
    assert list(CONFIGS)[:4] == ["all", "visual_generation", "multimodal_reasoning", "understanding"]
    assert set(CONFIGS) == {"all", *(family for family in FAMILIES if family != "multimodal_internet"), *TASKS}
    assert tasks_of("understanding") == ("llava_cot", "cot_collection")


def test_unknown_config_lists_the_known():
    with pytest.raises(UnknownName, match="unknown config 'editing'; known: all, cot_collection, image_correction"):
        tasks_of("editing")


@pytest.mark.parametrize("name", KNOWN_TASKS)
def test_every_known_task_is_found_under_its_own_name_and_is_a_config(name):
    task = find_task(name)
    assert (task.name, configs_of([task])[name]) == (name, (name,))
    assert describe_tasks([name]) == ({} if name in TASKS else {name: task})


SKETCHING = Task(name="sketching", family="visual_generation", quadrant="text-mm")


def test_a_task_needs_no_more_than_a_name():
    task = Task(name="web_pages")
    assert (task.prefix, task.family, task.quadrant, task.outputs) == ("web_pages", "web_pages", "", "last")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "Sketch"}, "name is 'Sketch'"),
        ({"name": "../up"}, "name is '../up'"),
        ({"prefix": "a b"}, "prefix is 'a b'"),
        ({"quadrant": "image-text"}, "quadrant is 'image-text'; expected one of '', 'mm-mm'"),
        ({"outputs": "first"}, "outputs is 'first'; expected one of 'last', 'all', 'none'"),
    ],
)
def test_a_task_of_a_wrong_form_is_refused(change, message):
    with pytest.raises(UsageError, match=message):
        Task(**{"name": "sketching", **change})


def test_a_task_is_found_by_name_and_in_a_file(tmp_path):
    file = tmp_path / "tasks.py"
    file.write_text(
        "from toolkit.tasks import Task\n"
        "SKETCHING = Task(name='sketching')\nEDITING = Task(name='image_editing')\nOTHER = 1\n"
    )
    assert find_task("llava_cot") is TASKS["llava_cot"]
    assert find_task(f"{file}:SKETCHING") == Task(name="sketching")
    with pytest.raises(UsageError, match="has the name of one of the nine, 'image_editing'"):
        find_task(f"{file}:EDITING")
    with pytest.raises(UsageError, match=r"is 1; expected a toolkit\.tasks\.Task"):
        find_task(f"{file}:OTHER")
    with pytest.raises(UnknownName, match="unknown task 'sketching'; known: cot_collection"):
        find_task("sketching")


def test_tasks_of_others_come_after_the_nine_and_join_their_family():
    vocabulary = {"sketching": SKETCHING}
    assert in_order(["sketching", "llava_cot", "carving", "image_editing"]) == (
        *("image_editing", "llava_cot"),
        *("carving", "sketching"),
    )
    assert tasks_of("visual_generation", vocabulary)[-1] == "sketching"
    assert tasks_of("all", vocabulary) == (*TASKS, "sketching")
    assert tasks_of("sketching", vocabulary) == ("sketching",)
    assert describe_tasks(["llava_cot", "sketching"], vocabulary) == vocabulary
    assert task_named("carving", vocabulary) == Task(name="carving")
    with pytest.raises(UnknownName, match="unknown task 'carving'"):
        describe_tasks(["carving"], vocabulary)


def test_a_task_that_is_called_like_a_config_of_several_is_refused():
    with pytest.raises(UsageError, match="task 'understanding' has the name of a config of several tasks"):
        configs_of((*TASKS.values(), Task(name="understanding")))
