# shellcheck shell=bash
# Sourced by the scripts beside it: mmdebstrap with Debian from wherever this machine's own apt gets it.

export SOURCE_DATE_EPOCH=1735689600 LC_ALL=C DEBIAN_FRONTEND=noninteractive PYTHONHASHSEED=0
suite=bookworm

# bootstrap OPTIONS... -- TARGET
bootstrap() {
    local options=(--mode=root --quiet) sources
    while [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    while IFS= read -r option; do
        options+=("--aptopt=$option")
    done < <(apt-config dump | grep -E '^Acquire::(http|https|Retries|Check-)')
    # shellcheck disable=SC2016 # apt's own variables
    sources=$(apt-get indextargets --format 'deb $(REPO_URI) $(CODENAME) $(COMPONENT)|$(ORIGIN)' 'Created-By: Packages' |
        sed -n "s/^\(deb .* $suite[-a-z]* main\)|Debian\$/\1/p")
    # A mirror fails now and then; the third failure counts.
    local attempt
    for attempt in 1 2 3; do
        if [ -n "$sources" ]; then
            mmdebstrap "${options[@]}" "$suite" "$2" - <<< "$sources" && return 0
        else
            mmdebstrap "${options[@]}" "$suite" "$2" && return 0
        fi
        echo "mmdebstrap failed (attempt $attempt of 3)" >&2
        sleep 2
    done
    return 1
}
