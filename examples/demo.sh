#!/bin/sh
# The main job on states/dev, with the command given as $1. Prints each command before it runs it.
set -eu
reconciler=$1
stack=${2:-states/dev}

run() {
    printf '\n$ reconciler -C %s %s\n' "$stack" "$*"
    "$reconciler" -C "$stack" "$@"
}

run validate
run plan
run apply --auto-approve --quiet
run list
run plan --detailed-exitcode
printf '\nThe last plan is empty: the platform is as the specs say.\n'
