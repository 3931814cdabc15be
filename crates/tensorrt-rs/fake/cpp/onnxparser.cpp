// A library that looks like libnvonnxparser: reads enough of ONNX for names, types and shapes.

#include "objects.hpp"

#include <cstring>
#include <fstream>
#include <set>

// The wire format of Protocol Buffers, as far as ONNX needs it.
struct Message
{
    uint8_t const* at;
    uint8_t const* end;
    bool broken{};

    struct Field;

    Message(uint8_t const* from, uint8_t const* to) : at(from), end(to) {}

    uint64_t varint()
    {
        uint64_t value = 0;
        for (int shift = 0; shift < 64; shift += 7)
        {
            if (at == end)
            {
                broken = true;
                return 0;
            }
            uint8_t const byte = *at++;
            value |= static_cast<uint64_t>(byte & 0x7f) << shift;
            if (!(byte & 0x80))
            {
                return value;
            }
        }
        broken = true;
        return 0;
    }

    bool next(Field& field);
};

struct Message::Field
{
    uint32_t number{};
    uint64_t value{};
    Message bytes{nullptr, nullptr};

    std::string text() const { return std::string(bytes.at, bytes.end); }
};

bool Message::next(Field& field)
{
    if (broken || at == end)
    {
        return false;
    }
    uint64_t const key = varint();
    field.number = static_cast<uint32_t>(key >> 3);
    size_t length = 0;
    switch (key & 7)
    {
    case 0: field.value = varint(); return !broken;
    case 1: length = 8; break;
    case 2: length = varint(); break;
    case 5: length = 4; break;
    default: broken = true; return false;
    }
    if (broken || length > static_cast<size_t>(end - at))
    {
        broken = true;
        return false;
    }
    field.bytes.at = at;
    field.bytes.end = at + length;
    at += length;
    return true;
}

struct ErrorImpl : IParserError
{
    int32_t number{};
    std::string words;
    int index{-1};
    std::string name;
    std::string op;

    SIG_IParserError_code { return number; }
    SIG_IParserError_desc { return words.c_str(); }
    SIG_IParserError_file { return "fake/cpp/onnxparser.cpp"; }
    SIG_IParserError_line { return 100 + number; }
    SIG_IParserError_node { return index; }
    char const* nodeName() const { return name.c_str(); }
    char const* nodeOperator() const { return op.c_str(); }
};

// DataType of a TensorProto.DataType; -1 for what TensorRT has not. Before 10 INT64 becomes INT32.
static int32_t dataType(uint64_t onnx)
{
    switch (onnx)
    {
    case 1: return 0;
    case 10: return 1;
    case 3: return 2;
    case 6: return 3;
    case 9: return 4;
    case 2: return 5;
    case 7: return TRT_MAJOR == 8 ? 3 : 8;
    case 16: return TRT_MAJOR == 8 ? -1 : 7;
    default: return -1;
    }
}

// LayerType of an operator, in the numbers of the version.
static int32_t layerType(std::string const& op)
{
    struct Known
    {
        char const* op;
        int32_t before10;
        int32_t from10;
    };
    static Known const known[] = {{"Conv", 0, 0}, {"Relu", 2, 2}, {"Sigmoid", 2, 2}, {"MaxPool", 3, 3},
        {"AveragePool", 3, 3}, {"Softmax", 6, 6}, {"ConvTranspose", 7, 7}, {"Concat", 8, 8}, {"Add", 9, 9}, {"Mul", 9, 9},
        {"Reshape", 13, 13}, {"Transpose", 13, 13}, {"Gather", 16, 16}, {"MatMul", 17, 17}, {"Constant", 19, 19},
        {"Slice", 23, 22}, {"Resize", 26, 25}, {"QuantizeLinear", 33, 32}, {"DequantizeLinear", 34, 33}, {"Cast", 47, 1}};
    for (auto const& it : known)
    {
        if (op == it.op)
        {
            return TRT_MAJOR == 8 ? it.before10 : it.from10;
        }
    }
    return TRT_MAJOR == 8 ? 21 : 20; // identity
}

class ParserImpl : public IParser
{
public:
    ParserImpl(NetworkImpl& network, ILogger* logger) : mNetwork(network), mLogger(logger) {}
    ~ParserImpl() noexcept override
    {
        mNetwork.state.called("IParser::~IParser");
        mNetwork.model = nullptr;
    }

    SIG_IParser_parse
    {
        mNetwork.state.called(say("IParser::parse ", size, " ", path ? path : "null"));
        auto const* bytes = static_cast<uint8_t const*>(model);
        return read(std::vector<uint8_t>(bytes, bytes + size), path ? path : "");
    }
    SIG_IParser_parseFromFile
    {
        mNetwork.state.called(say("IParser::parseFromFile ", path, " ", verbosity));
        std::ifstream file(path, std::ios::binary);
        if (!file)
        {
            return refuse(3, say("the file ", path, " cannot be opened"));
        }
        return read(std::vector<uint8_t>(std::istreambuf_iterator<char>(file), {}), path);
    }
    SIG_IParser_supportsOperator { return !unsupported(name); }
    SIG_IParser_getNbErrors { return static_cast<int>(mErrors.size()); }
    SIG_IParser_getError { return index < 0 || index >= getNbErrors() ? nullptr : mErrors[static_cast<size_t>(index)].get(); }
    SIG_IParser_clearErrors { mErrors.clear(); }
    void setFlag(int32_t flag) noexcept { mNetwork.state.called(say("IParser::setFlag ", flag)); }

private:
    bool refuse(int32_t code, std::string const& words, int index = -1, std::string const& name = "", std::string const& op = "")
    {
        std::unique_ptr<ErrorImpl> error(new ErrorImpl);
        error->number = code;
        error->words = words;
        error->index = index;
        error->name = name;
        error->op = op;
        report(mNetwork.state, mLogger, kERROR, "ModelImporter: " + words);
        mErrors.push_back(std::move(error));
        return false;
    }

    bool unsupported(std::string const& op) const
    {
        std::istringstream list(mNetwork.state.setting("parse.unsupported"));
        std::string one;
        while (std::getline(list, one, ','))
        {
            if (one == op)
            {
                return true;
            }
        }
        return false;
    }

    ITensor* tensor(std::string const& name)
    {
        ITensor*& known = mTensors[name];
        if (!known)
        {
            auto* made = new TensorImpl;
            made->name = name;
            mNetwork.tensors.emplace_back(wrap<ITensor, VTensor>(made));
            known = mNetwork.tensors.back().get();
        }
        return known;
    }

    // ValueInfoProto: name 1, type 2; TypeProto: tensor_type 1; Tensor: elem_type 1, shape 2; dim 1; dim_value 1.
    bool valueInfo(Message message, ITensor*& result)
    {
        std::string name;
        uint64_t type = 0;
        std::vector<int64_t> shape;
        Message::Field value;
        while (message.next(value))
        {
            if (value.number == 1)
            {
                name = value.text();
            }
            if (value.number != 2)
            {
                continue;
            }
            Message::Field tensorType;
            while (value.bytes.next(tensorType))
            {
                Message::Field part;
                while (tensorType.number == 1 && tensorType.bytes.next(part))
                {
                    if (part.number == 1)
                    {
                        type = part.value;
                    }
                    Message::Field dimension;
                    while (part.number == 2 && part.bytes.next(dimension))
                    {
                        int64_t extent = -1;
                        Message::Field what;
                        while (dimension.bytes.next(what))
                        {
                            if (what.number == 1)
                            {
                                extent = static_cast<int64_t>(what.value);
                            }
                        }
                        shape.push_back(extent);
                    }
                }
            }
        }
        int32_t const known = dataType(type);
        if (known < 0)
        {
            return refuse(8, say("the tensor ", name, " has the unsupported type ", type));
        }
        result = tensor(name);
        of(*result).type = known;
        of(*result).shape = shape;
        return true;
    }

    // TensorProto: name 8, external_data 13 (key 1, value 2), data_location 14.
    bool initializer(Message message, std::string const& path, std::set<std::string>& names)
    {
        std::string name, location;
        bool external = false;
        Message::Field field;
        while (message.next(field))
        {
            if (field.number == 8)
            {
                name = field.text();
            }
            if (field.number == 14)
            {
                external = field.value == 1;
            }
            if (field.number == 13)
            {
                std::string key, value;
                Message::Field entry;
                while (field.bytes.next(entry))
                {
                    (entry.number == 1 ? key : value) = entry.text();
                }
                if (key == "location")
                {
                    location = value;
                }
            }
        }
        names.insert(name);
        if (external)
        {
            size_t const slash = path.rfind('/');
            std::string const file = (slash == std::string::npos ? "" : path.substr(0, slash + 1)) + location;
            if (!std::ifstream(file))
            {
                return refuse(4, say("failed to open the external data file ", file, " of the weights ", name));
            }
        }
        return true;
    }

    bool node(Message message, int index)
    {
        std::string name, op;
        std::vector<std::string> inputs, outputs;
        Message::Field field;
        while (message.next(field))
        {
            switch (field.number)
            {
            case 1: inputs.push_back(field.text()); break;
            case 2: outputs.push_back(field.text()); break;
            case 3: name = field.text(); break;
            case 4: op = field.text(); break;
            default: break;
            }
        }
        if (unsupported(op))
        {
            return refuse(8, say("no importer is registered for the operator ", op), index, name, op);
        }
        auto* layer = new LayerImpl;
        layer->name = name.empty() ? say("(Unnamed Layer* ", index, ") [", op, "]") : name;
        layer->op = op;
        layer->type = layerType(op);
        for (auto const& it : inputs)
        {
            layer->inputs.push_back(it.empty() ? nullptr : tensor(it));
        }
        for (auto const& it : outputs)
        {
            layer->outputs.push_back(tensor(it));
        }
        mNetwork.layers.emplace_back(new ILayer);
        mNetwork.layers.back()->mLayer = layer;
        return true;
    }

    bool read(std::vector<uint8_t> bytes, std::string const& path)
    {
        if (mNetwork.state.is("parse", "fail"))
        {
            return refuse(1, "the parser was told to fail");
        }
        if (mNetwork.state.is("parse", "silent"))
        {
            return false;
        }
        mModel = std::move(bytes);
        // ModelProto: graph 7. GraphProto: node 1, name 2, initializer 5, input 11, output 12.
        Message model{mModel.data(), mModel.data() + mModel.size()};
        Message::Field field;
        Message graph{nullptr, nullptr};
        while (model.next(field))
        {
            if (field.number == 7)
            {
                graph = field.bytes;
            }
        }
        if (model.broken || !graph.at)
        {
            return refuse(3, "failed to parse the ONNX model: this is no ModelProto with a graph");
        }
        std::set<std::string> weights;
        bool good = true;
        int index = 0;
        for (Message pass = graph; pass.next(field);)
        {
            if (field.number == 5)
            {
                good = initializer(field.bytes, path, weights) && good;
            }
            if (field.number == 1)
            {
                good = node(field.bytes, index++) && good;
            }
        }
        for (Message pass = graph; pass.next(field);)
        {
            ITensor* it = nullptr;
            if (field.number == 11 && (good = valueInfo(field.bytes, it) && good) && !weights.count(of(*it).name))
            {
                mNetwork.inputs.push_back(it);
            }
            if (field.number == 12 && (good = valueInfo(field.bytes, it) && good))
            {
                mNetwork.outputs.push_back(it);
            }
        }
        mNetwork.model = &mModel;
        return good;
    }

    NetworkImpl& mNetwork;
    ILogger* mLogger;
    std::vector<uint8_t> mModel;
    std::map<std::string, ITensor*> mTensors;
    std::vector<std::unique_ptr<ErrorImpl>> mErrors;
};

extern "C" {

#define EXPORTED __attribute__((visibility("default")))

EXPORTED int getNvOnnxParserVersion() noexcept
{
    return TRT_MAJOR == 11 ? 200 : 100;
}

EXPORTED void* createNvOnnxParser_INTERNAL(void* network, void* logger, int version) noexcept
{
    NetworkImpl& net = of(*static_cast<INetworkDefinition*>(network));
    net.state.called(say("createNvOnnxParser ", version));
    if (version != getNvOnnxParserVersion() || net.state.is("parser", "null"))
    {
        return nullptr;
    }
    return static_cast<IParser*>(new ParserImpl(net, static_cast<ILogger*>(logger)));
}

}

// As in the other library; the classes of this one have empty slots, too.
extern "C" void tensorrt_fake_unexpected(char const* name, int slot)
{
    std::fprintf(stderr, "fake parser %s: unexpected call of %s slot %d\n", VERSION_TEXT, name, slot);
    std::abort();
}
