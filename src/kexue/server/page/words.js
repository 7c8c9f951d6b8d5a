// Every word of the page, in both languages.
export const WORDS = {
  en: {
    model: "Model", key: "API key", text: "Text", extract: "Extract", drop: "Drop a file, or choose one (.txt, .jsonl)",
    stop: "Stop", own: "the model's own thresholds", threshold: "Threshold", copy: "Copy JSON", copied: "Copied",
    subject: "Subject", relation: "Relation", object: "Object", score: "Confidence", none: "no relation",
    graph: "The facts as a graph", images: "Images", sampler: "Sampler", steps: "Steps", seed: "Seed", class: "Class",
    any: "any", guidance: "Guidance", draw: "Draw", of: "of", facts: "relations", failed: "could not be read",
    example: "A 34-year-old woman developed a rash after taking 500 mg amoxicillin.", gone: "The service does not answer.",
    step: "Step", empty: "The file holds no text.", badline: "no JSON with a key \"text\" in line",
  },
  zh: {
    model: "模型", key: "API 密钥", text: "文本", extract: "抽取", drop: "拖入或选择文件（.txt、.jsonl）",
    stop: "停止", own: "使用模型自带的阈值", threshold: "阈值", copy: "复制 JSON", copied: "已复制",
    subject: "主体", relation: "关系", object: "客体", score: "置信度", none: "没有关系",
    graph: "关系图", images: "图片数", sampler: "采样器", steps: "步数", seed: "随机种子", class: "类别",
    any: "任意", guidance: "引导强度", draw: "生成", of: "/", facts: "条关系", failed: "无法读取",
    example: "江苏新时代造船有限公司新建造的油船总长274.2米、型宽50米。", gone: "服务没有响应。",
    step: "第几步", empty: "文件里没有文本。", badline: "以下行不是带 \"text\" 键的 JSON：",
  },
};
