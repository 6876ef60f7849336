#!/bin/sh
# Creates the namespace unless it is there. Histories of closed invocations are kept for 30 days; the ledger for longer.
set -eu
temporal operator namespace describe --namespace "$NAMESPACE" >/dev/null 2>&1 ||
  temporal operator namespace create --namespace "$NAMESPACE" --retention 30d
