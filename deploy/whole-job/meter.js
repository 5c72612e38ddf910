// The steps of ../../action.yml, begun where the action is used and reported by its post step, which only an action
// of this kind has. It never fails.
"use strict";

const { spawnSync } = require("node:child_process");
const { appendFileSync } = require("node:fs");
const { join } = require("node:path");

const isPost = process.env.STATE_metering === "true";
const scripts = isPost ? ["meter"] : ["install", "meter"];
const environment = {
  INPUT_INTERVAL: "",
  INPUT_RECEIVER: "",
  INPUT_PACKAGE: "",
  ...process.env,
  INPUT_PUSH_TOKEN: process.env["INPUT_PUSH-TOKEN"] || "",
  INPUT_RUN: "",
  INPUT_WORKING_DIRECTORY: "",
  INPUT_MODE: isPost ? "report" : "start",
};

for (const script of scripts) {
  spawnSync("sh", [join(__dirname, "..", "action", script)], { env: environment, stdio: "inherit" });
}
if (!isPost && process.env.GITHUB_STATE) {
  appendFileSync(process.env.GITHUB_STATE, "metering=true\n");
}
