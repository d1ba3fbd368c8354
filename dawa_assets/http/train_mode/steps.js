/** The chain's steps in their order, by the names that the server gives them, and their words. */

export const STEPS = {
  intake: { name: "Taking in", running: "Taking in files", does: "reads Live Sets and pairs bounces" },
  prompts: { name: "Prompts", running: "Writing prompts", does: "writes a text for each set" },
  items: { name: "Pairs", running: "Putting pairs in place", does: "puts audio and text side by side" },
  dataset: { name: "Dataset", running: "Building the dataset", does: "zips every ready pair" },
  segments: { name: "Segments", running: "Cutting segments", does: "cuts 15-second pieces" },
  tags: { name: "Tags", running: "Tagging segments", does: "describes every piece" },
  training: { name: "Training", running: "Training the LoRA", does: "trains on pieces and texts" },
  evaluation: { name: "Judging", running: "Judging the LoRA", does: "compares it with the base on held-out songs" },
  promotion: { name: "Publishing", running: "Publishing the LoRA", does: "puts the better one in place" },
  preview: { name: "Preview", running: "Rendering a preview", does: "renders a few seconds with and without it" },
};

/** Badges in the order in which they need somebody, with their words. */
export const BADGES = {
  failed: "Failed",
  needs_audio: "Needs audio",
  needs_prompt: "Needs prompt",
  ready: "Ready",
  exported: "Exported",
  excluded: "Excluded",
};
