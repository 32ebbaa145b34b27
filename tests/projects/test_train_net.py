import time


def test_x(scripts, tiny_config, tmp_path):
    for i in range(2):
        t = time.time()
        r = scripts.run("train_net.py", "--config-file", tiny_config, "OUTPUT_DIR", tmp_path)
        r.assert_ok()
        print(time.time() - t)
        t = time.time()
        r = scripts.run(
            "search_net.py", "--config-file", tiny_config, "OUTPUT_DIR", tmp_path / f"s{i}"
        )
        r.assert_ok()
        print(time.time() - t)
    assert 0
