"""The catalogue of hostile and broken submissions and of faults: every row, and the test that shows it. Runs nothing.

A place is `file::test` from the root of the checkout, or `labs/<lab>/mutants/<mutant>`, which `lab prove` judges again
whenever something changes that the lab stands on. `CORPUS` stands for this row's submissions in tests/hostile/corpus,
judged in one batch by tests/hostile/test_batch.py. `short` says what of a row is not shown, or not so, and why.
"""

from __future__ import annotations

from dataclasses import dataclass

BATCH = "tests/hostile/test_batch.py::test_the_verdict_is_the_one_of_the_catalogue"
CORPUS = BATCH
FACE = "tests/face"
_ISOLATION = "tests/engine/test_isolation.py::test_nothing_is_open_under_the_sealed_profile"
_REAL = "tests/hostile/test_real_labs.py"
_FILES = "tests/unit/content/test_submission.py"
_ARCHIVES = "tests/unit/content/test_archives.py"
_HTTP = "tests/unit/harness/test_http.py"
_STOPPING = "tests/face/test_stopping.py"
_NEIGHBOURS = "tests/hostile/test_batch.py::test_no_neighbour_notices"
_HOST = "tests/hostile/test_batch.py::test_the_host_is_as_it_was"


@dataclass(frozen=True)
class Row:
    """One row: what happens, where it is shown, what falls short."""

    number: int
    what: str
    places: tuple[str, ...]
    short: str = ""


ROWS: tuple[Row, ...] = (
    # -- reaching for the checks
    Row(1, "a conftest.py that turns every outcome into a pass", (CORPUS, _HOST)),
    Row(2, "pytest's settings files that select nothing or load a plug-in", (CORPUS, _HOST)),
    Row(
        3,
        "modules that shadow what the checks import",
        (
            CORPUS,
            _HOST,
            "tests/face/test_learner_faults.py::test_learner_files_never_reach_the_checking_process",
            "tests/front/test_bin.py::test_a_learners_folder_can_not_shadow_a_module",
        ),
    ),
    Row(
        4,
        "exits with code 0 before anything was asked",
        (CORPUS, "tests/face/test_learner_faults.py::test_a_program_that_ends_at_once_is_not_a_pass"),
    ),
    Row(
        5,
        "kills every process it can, itself included, after some answers",
        (CORPUS, "tests/unit/checking/test_judge.py::test_a_role_that_is_just_dying_is_waited_for"),
        "a check that follows is given a fresh replica and says what that one does; it is not told the old death",
    ),
    Row(
        6,
        "prints what looks like results, frames of ours, commands and escapes",
        (
            CORPUS,
            "tests/hostile/test_batch.py::test_what_was_said_is_inert_for_every_reader",
            "tests/unit/checking/test_judge.py::test_what_a_check_prints_is_no_verdict",
        ),
    ),
    Row(
        7,
        "brings result files and state of its own",
        (CORPUS,),
        "they are ignored without a word: no path of a submission is reserved, nothing would ever read them",
    ),
    Row(
        8,
        "searches its world for hidden checks, secrets and neighbours",
        (CORPUS, "tests/hostile/test_batch.py::test_no_secret_leaves"),
    ),
    Row(9, "knocks at the doors of its network, the gateway and the cloud's address", (CORPUS, _ISOLATION)),
    Row(10, "brings tools called curl, psql, redis-cli", (CORPUS, _HOST)),
    Row(
        11,
        "answers with format strings, check names, or fifty megabytes",
        (CORPUS, "tests/unit/harness/test_words.py::test_every_field_of_a_verdict_is_escaped_and_cut"),
    ),
    Row(
        12,
        "JSON that is none, or that means another thing to another parser",
        (
            CORPUS,
            "tests/unit/harness/test_strictjson.py::test_refused",
            "tests/unit/harness/test_strictjson.py::test_a_difference_names_its_place",
        ),
    ),
    Row(
        13,
        "an answer that would kill the checking process",
        (
            "tests/unit/checking/test_judge.py::test_a_checking_process_that_dies_gives_no_pass",
            "tests/unit/harness/test_plugin.py::test_the_process_dies",
            "tests/unit/harness/test_strictjson.py::test_any_bytes_give_a_value_or_a_refusal",
            "tests/scale/test_backends.py::test_what_ends_its_workers_ends_ungraded_and_the_others_are_judged",
        ),
        "no answer is known that does it, so a checking process that kills itself stands for it",
    ),
    # -- not doing the work
    Row(
        14,
        "the starter as it was given",
        (
            "tests/face/test_main_job.py::test_the_starter_fails_exactly_where_the_lab_says",
            "tests/unit/authoring/test_verdicts.py::test_a_starter_fails_where_it_must",
        ),
    ),
    Row(15, "answers the examples by heart", (CORPUS,)),
    Row(16, "behaves for one client, or for the first requests only", (CORPUS,)),
    Row(
        17,
        "a dictionary in place of the server",
        (CORPUS, "labs/redis-caching/mutants/m1-dictionary-in-the-process"),
    ),
    Row(18, "starts a server of its own and talks to that", (CORPUS,)),
    Row(19, "writes what is expected beforehand", (CORPUS,)),
    Row(20, "changes its behaviour between two checks", (CORPUS,)),
    Row(
        21,
        "acknowledges and drops, or does things twice",
        (
            "labs/rabbitmq/mutants/m4-automatic-ack",
            "labs/rabbitmq/mutants/m1-fire-and-forget",
            "labs/rabbitmq/mutants/m11-look-then-insert",
            "labs/rabbitmq/mutants/m10-seen-ids-in-memory",
        ),
    ),
    Row(
        22,
        "a front door that answers ok and forwards nothing",
        (f"{_REAL}::test_a_front_door_that_only_says_ok_forwards_nothing",),
    ),
    # -- the hostile server
    Row(
        23,
        "drips its answer byte by byte",
        (CORPUS, f"{_HTTP}::test_the_deadline_is_for_the_whole_answer"),
        "the code is L-TIME: it is the time that was used up, not the protocol that was broken",
    ),
    Row(
        24,
        "an answer that unpacks to much more",
        (CORPUS, f"{_HTTP}::test_what_is_no_answer_is_refused"),
        "nothing is unpacked at all: an encoding that nobody asked for is refused by its name",
    ),
    Row(25, "a body without an end", (CORPUS, f"{_HTTP}::test_what_is_no_answer_is_refused")),
    Row(
        26,
        "heads that are none: too many, too long, not HTTP",
        (CORPUS, f"{_HTTP}::test_after_a_broken_answer_the_next_request_is_fresh"),
    ),
    Row(
        27,
        "JSON nested without end, or one long name",
        (CORPUS, "tests/unit/harness/test_strictjson.py::test_refused"),
    ),
    Row(
        28,
        "takes a request and says nothing, never accepts, or resets",
        (
            CORPUS,
            f"{_HTTP}::test_a_server_that_never_accepts",
            f"{_HTTP}::test_a_relay_without_a_peer_closes",
        ),
        "behind the relay a reset and a close look the same: L-PORT names both, nobody there or hung up",
    ),
    Row(
        29,
        "listens on its own loopback only",
        (CORPUS, "tests/face/test_learner_faults.py::test_a_server_on_loopback_is_told_where_it_listens"),
    ),
    Row(
        30,
        "is never ready, falls at the first request, or at every start",
        (CORPUS, "tests/unit/stack/test_evidence.py::test_an_end_is_named"),
    ),
    Row(
        31,
        "a peer that sends more than anybody can read",
        (
            CORPUS,
            "tests/unit/harness/test_redis_stream.py::test_a_huge_value_is_not_read",
            "tests/unit/harness/test_redis_stream.py::test_a_line_without_end_is_cut_and_the_next_one_read",
            "tests/unit/harness/test_sql_at.py::test_the_learners_server_is_the_learners_fault",
        ),
        "the checks speak SQL and AMQP with servers of ours; only in postgresql-replication is the server's "
        "configuration the learner's, and a million columns are not tried there",
    ),
    # -- exhausting things
    Row(
        32,
        "forks without end, in sessions of their own",
        (
            CORPUS,
            "tests/unit/checking/test_judge.py"
            "::test_a_role_with_too_many_processes_explains_its_silence_and_is_gone_for_the_next",
            _NEIGHBOURS,
        ),
    ),
    Row(
        33,
        "eats memory, at the start or when asked",
        (CORPUS, "tests/face/test_learner_faults.py::test_a_program_that_eats_its_memory_is_told_the_limit"),
    ),
    Row(
        34,
        "floods its log, in lines or in one",
        (CORPUS, _NEIGHBOURS),
        "no L-LOG: the engine keeps 2 x 1 MiB and tells nobody how much it threw away, so what is judged is what the "
        "checks see; a flood lasts as long as its judgement",
    ),
    Row(
        35,
        "fills its folders by bytes, files, deleted files and shared memory",
        (CORPUS, _ISOLATION),
        "L-DISK is said of a program that dies of it; one that bears it is judged by its answers",
    ),
    Row(
        36,
        "spins on every core",
        (CORPUS, _NEIGHBOURS),
        "no time is asserted, it would say nothing beside other work; tests/endurance/neighbours prints it",
    ),
    Row(
        37,
        "opens ten thousand sockets",
        (CORPUS, "tests/unit/harness/test_resp.py::test_a_server_that_somebody_took_is_the_learners_doing"),
        "Redis takes 900 clients and a role may open 1024 files: who holds all 900 keeps the checks out, and is told "
        "L-SVC (redis has no place that is kept for the checks, as PostgreSQL has)",
    ),
    Row(38, "ignores every signal and leaves zombies", (CORPUS,)),
    Row(39, "a segmentation fault that would like a core", (CORPUS, _HOST)),
    Row(
        40,
        "is late by a moment",
        (CORPUS,),
        "twice in a batch; tests/endurance/late has fifty",
    ),
    Row(
        41,
        "uses up the time of one check",
        (CORPUS, "tests/unit/harness/test_plugin.py::test_every_ending_has_its_verdict"),
    ),
    Row(
        42,
        "keeps its server busy for ever",
        (
            CORPUS,
            f"{_REAL}::test_a_lock_that_is_held_is_the_learners",
            f"{_REAL}::test_a_sort_of_ten_gigabytes_ends_at_the_servers_limit",
        ),
        "A million messages are not tried: the broker's memory watermark stops them, tests/engine/test_broker.py",
    ),
    Row(43, "asks the server for what only its owner may", (CORPUS,)),
    # -- files
    Row(
        44,
        "links to secrets, to folders above, in the program's place",
        (
            CORPUS,
            f"{_FILES}::test_links_are_refused_and_never_opened",
            f"{_FILES}::test_a_linked_folder_is_refused",
            f"{_ARCHIVES}::test_links_and_devices_in_a_tar_are_refused",
        ),
    ),
    Row(
        45,
        "names that lead out of the folder",
        (CORPUS, f"{_ARCHIVES}::test_paths_that_lead_elsewhere_are_refused", _HOST),
    ),
    Row(
        46,
        "bombs: nested, sparse, of a thousand entries",
        (
            CORPUS,
            f"{_ARCHIVES}::test_bombs_are_refused_in_seconds_and_cost_no_memory",
            f"{_FILES}::test_a_sparse_giant_is_refused_unread",
        ),
    ),
    Row(
        47,
        "names that fool a reader, a shell or a file system",
        (
            CORPUS,
            f"{_FILES}::test_names_that_could_fool_somebody_are_refused",
            f"{_ARCHIVES}::test_twins_are_refused",
            "tests/unit/test_entries.py::test_a_name_that_is_no_utf8_can_be_written_down",
        ),
    ),
    Row(
        48,
        "its own lab.yaml, compose file, settings and image",
        (CORPUS, "tests/unit/engine/test_profile.py::test_anything_else_is_refused"),
    ),
    Row(
        49,
        "dependencies and builds that would run code",
        (CORPUS, _HOST),
        "they are not refused but ignored: nothing of a submission is ever installed, an image has what a lab needs",
    ),
    Row(
        50,
        "empty, half, or not a program",
        (
            CORPUS,
            f"{_ARCHIVES}::test_half_an_upload_is_refused",
            "tests/face/test_learner_faults.py::test_a_syntax_error_is_shown_with_its_line",
        ),
    ),
    Row(
        51,
        "changes while it is taken in",
        (
            "tests/hostile/test_files.py::test_the_digest_is_that_of_the_bytes_that_were_read",
            "tests/hostile/test_files.py::test_what_is_no_file_any_more_is_refused",
        ),
    ),
    # -- SQL, configuration, network
    Row(
        52,
        "SQL that would read files, run programs or change the server",
        (f"{_REAL}::test_sql_beyond_ones_rights_is_refused",),
    ),
    Row(
        53,
        "a transaction that holds what others need, or bans the checks",
        (
            f"{_REAL}::test_a_lock_that_is_held_is_the_learners",
            f"{_REAL}::test_sql_beyond_ones_rights_is_refused",
        ),
    ),
    Row(
        54,
        "an nginx configuration that asks for too much",
        (
            f"{_REAL}::test_a_configuration_that_asks_for_too_much_is_refused_in_nginxs_words",
            f"{_REAL}::test_five_thousand_workers_meet_the_limit",
        ),
        "the code is L-EXIT with nginx's own line: a server that does not start has ended",
    ),
    Row(55, "talks to the outside, or puts a secret into a name that it asks for", (_ISOLATION,)),
    Row(
        56,
        "talks to another lab's containers",
        ("tests/hostile/test_networks.py::test_another_labs_network_is_out_of_reach",),
    ),
    Row(57, "raw packets, and IPv6 to the host", (_ISOLATION,)),
    Row(
        58,
        "a port that is published to the world",
        ("tests/unit/engine/test_profile.py::test_anything_else_is_refused",),
        "no scan from outside: the create call can't ask for another address than 127.0.0.1",
    ),
    Row(
        59,
        "setuid, namespaces, mounts, ptrace, key rings, kernel sockets",
        (
            _ISOLATION,
            "tests/unit/engine/test_profile.py::test_seccomp_profile_leaves_the_dangerous_calls_out",
            "tests/engine/test_isolation.py::test_measures_can_fail",
        ),
    ),
    Row(60, "looks for the engine's socket, proxies, the cloud's address", (_ISOLATION,)),
    Row(
        61,
        "says what is a command to a spreadsheet, a page, a terminal or a pipeline",
        (
            CORPUS,
            "tests/hostile/test_batch.py::test_what_was_said_is_inert_for_every_reader",
            "tests/unit/test_exports.py::test_tables_are_square_and_compute_nothing",
            "tests/unit/test_exports.py::test_no_second_workflow_command_can_begin",
            "tests/unit/test_exports.py::test_no_control_character_gets_through",
        ),
    ),
    # -- faults of the environment
    Row(
        62,
        "killed at every call of the engine",
        (
            "tests/engine/test_faults.py::test_a_fault_leaves_nothing_and_the_truth",
            "tests/engine/test_watchdog.py::test_killed_check_leaves_nothing",
            f"{_STOPPING}::test_a_killed_check_leaves_nothing",
        ),
        "a short form; tests/endurance/fault_loops goes through every call",
    ),
    Row(
        63,
        "a call of the engine fails",
        ("tests/engine/test_faults.py::test_a_fault_leaves_nothing_and_the_truth",),
        "a short form; tests/endurance/fault_loops goes through every call and 15 ways to fail",
    ),
    Row(
        64,
        "Ctrl-C once, twice, while it cleans up",
        (
            f"{_STOPPING}::test_ctrl_c_once_ends_a_check_in_order",
            f"{_STOPPING}::test_ctrl_c_once_ends_a_first_start_in_order",
            f"{_STOPPING}::test_ctrl_c_twice_leaves_at_once_and_the_watchdog_cleans",
        ),
    ),
    Row(
        65,
        "no engine, no permission, the wrong context",
        (
            "tests/face/test_messages.py::test_without_an_engine_the_cure_is_told",
            "tests/face/test_messages.py::test_an_unknown_context_is_an_error_not_the_default",
            "tests/unit/engine/test_reaching.py::test_forbidden_socket_has_a_cure_of_its_own",
        ),
        "an engine that is too old and Podman are not at hand",
    ),
    Row(
        66,
        "a full disk",
        ("tests/face/test_messages.py::test_a_full_disk_is_one_line",),
        "the state's disk only: filling the engine's own would stop everybody else on this machine",
    ),
    Row(
        67,
        "no registry, a deleted image, another digest",
        (
            "tests/engine/test_base_image.py::test_base_is_built_where_no_registry_answers",
            "tests/unit/engine/test_images.py::test_base_is_pulled_by_digest",
            "tests/unit/engine/test_images.py::test_image_of_another_content_under_our_tag_is_built_again",
            "tests/unit/engine/test_images.py::test_offline_touches_no_network",
        ),
    ),
    Row(
        68,
        "the port that is wanted is taken",
        (
            "tests/engine/test_contract.py::test_host_port_is_taken_once",
            f"{_STOPPING}::test_two_starts_in_one_folder_make_one_playground",
        ),
    ),
    Row(
        69,
        "no address range is free",
        (
            "tests/unit/engine/test_subnets.py::test_leaves_out_what_overlaps_with_anything_taken",
            "tests/unit/engine/test_subnets.py::test_pool_that_can_not_be_used_is_named",
            "tests/engine/test_contract.py::test_second_network_of_a_name_or_a_range_is_a_conflict",
        ),
    ),
    Row(
        70,
        "somebody removes, renames or pauses things by hand",
        (
            "tests/engine/test_drift.py::test_status_says_what_the_engine_has",
            "tests/engine/test_drift.py::test_each_hand_is_mended_by_a_start",
        ),
    ),
    Row(
        71,
        "commands twice, or in the wrong order",
        (
            "tests/face/test_main_job.py::test_from_start_to_clean",
            f"{_STOPPING}::test_two_starts_in_one_folder_make_one_playground",
        ),
    ),
    Row(
        72,
        "a ledger or state that is damaged, of another version, or can't be written",
        (
            "tests/unit/test_ledger.py::test_a_damaged_ledger_is_told",
            "tests/unit/test_ledger.py::test_a_ledger_of_another_version_is_left_alone",
            "tests/unit/content/test_workspace.py::test_torn_progress_is_forgotten_not_fatal",
            "tests/face/test_messages.py::test_a_home_that_can_not_be_written",
        ),
    ),
    Row(
        73,
        "a server that says it is ready and is not",
        ("tests/engine/test_cold_starts.py::test_what_is_called_ready_answers_the_first_time",),
        "a short form; tests/endurance/cold_starts makes 200 of each",
    ),
    Row(
        74,
        "a call of the engine hangs",
        (
            "tests/engine/test_faults.py::test_a_fault_leaves_nothing_and_the_truth",
            "tests/unit/checking/test_judge.py::test_a_bug_of_ours_is_answered_so_that_no_check_waits_for_ever",
        ),
    ),
    Row(
        75,
        "the machine is eight times slower",
        ("tests/unit/harness/test_words.py::test_only_patience_grows_with_the_time_factor",),
        "nobody may cut the CPU of a host that others use, for one test; `lab prove` runs beside busy cores",
    ),
    Row(
        76,
        "a batch is killed again and again",
        ("tests/unit/test_ledger.py::test_killed_anywhere_and_run_again_it_ends_with_the_same_rows",),
        "the real thing with 300 submissions and 20 kills is tests/endurance/grading",
    ),
    Row(
        77,
        "the two hundredth container under remapped users",
        (),
        "the engine of this suite runs without userns-remap, and switching it on would restart everybody's engine",
    ),
    Row(
        78,
        "the same submission twice, or two graders on one folder",
        (
            "tests/unit/test_entries.py::test_two_of_one_name_are_refused",
            "tests/unit/test_batch.py::test_nobody_grades_into_one_folder_twice_at_once",
            "tests/unit/test_ledger.py::test_each_is_claimed_once",
        ),
    ),
    # -- and one of our own
    Row(
        79,
        "floods the engine's resolver with questions, which works outside of every limit",
        (CORPUS, _NEIGHBOURS),
    ),
)
