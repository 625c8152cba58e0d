import pytest

from toolkit.errors import UnknownName
from toolkit.tasks import CONFIGS, FAMILIES, QUADRANTS, TASKS, tasks_of


def test_published_counts_sum_to_what_the_paper_reports():
    counts = {name: task.published_rows for name, task in TASKS.items()}
    assert sum(counts.values()) == 247_215
    assert sum(count for name, count in counts.items() if TASKS[name].family != "understanding") == 127_215


def test_every_task_has_a_known_quadrant_and_its_own_prefix_and_archive():
    assert {task.quadrant for task in TASKS.values()} == set(QUADRANTS)
    for values in ([task.prefix for task in TASKS.values()], [task.archive for task in TASKS.values() if task.archive]):
        assert len(set(values)) == len(values)


def test_configs_are_all_the_families_of_several_tasks_and_the_tasks():
    assert list(CONFIGS)[:4] == ["all", "visual_generation", "multimodal_reasoning", "understanding"]
    assert set(CONFIGS) == {"all", *(family for family in FAMILIES if family != "multimodal_internet"), *TASKS}
    assert tasks_of("understanding") == ("llava_cot", "cot_collection")


def test_unknown_config_lists_the_known():
    with pytest.raises(UnknownName, match="unknown config 'editing'; known: all, cot_collection, image_correction"):
        tasks_of("editing")
