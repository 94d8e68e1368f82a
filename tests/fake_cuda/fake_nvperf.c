/* libnvperf_host in name only: fake_cupti looks whether it was loaded, as the real one must be. */
__attribute__((visibility("default"))) int fake_nvperf(void);
int fake_nvperf(void)
{
    return 0;
}
